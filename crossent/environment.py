"""environment.json: the machine and the versions that made a run."""

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "safetensors")
# Together with the packages, these determine the last bits of a sum.
KEYS = ("device", "precision", "threads", "processes", "sums")


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


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return one line per difference that may change the last bits of a sum: "threads: 2 -> 4"."""
    before, now = (
        {key: e[key] for key in KEYS if key in e} | e.get("packages", {}) for e in (old, new)
    )
    both = [key for key in before if key in now]
    return [f"{key}: {before[key]} -> {now[key]}" for key in both if before[key] != now[key]]


def git_revision() -> str | None:
    """Return the commit of this program, with "+changes" if files differ; None if there is none."""
    words = ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"]
    root = Path(__file__).resolve().parents[1]
    try:
        described = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    except OSError:  # there is no git here
        return None
    return described.stdout.strip() or None
