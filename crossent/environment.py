"""environment.json: the machine and the versions that made a run."""

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "safetensors")


def current_environment(
    device: torch.device, precision: str, data_fingerprint: str
) -> dict[str, Any]:
    """Return the content of environment.json."""
    is_gpu = device.type == "cuda"
    chip = torch.cuda.get_device_name(device) if is_gpu else platform.processor()
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": f"{device} ({chip or platform.machine()})",
        "precision": precision,
        "threads": torch.get_num_threads(),
        "git_revision": git_revision(),
        "data_fingerprint": data_fingerprint,
    }


def git_revision() -> str | None:
    """Return the commit of this program, with "+changes" if files differ; None without git."""
    words = ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"]
    root = Path(__file__).resolve().parents[1]
    try:
        described = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    except OSError:  # there is no git here
        return None
    return described.stdout.strip() or None
