"""environment.json: where a run was made, so that its numbers can be understood later."""

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "safetensors")


def describe_environment(
    device: torch.device, precision: str, data_fingerprint: str
) -> dict[str, Any]:
    """Versions, device, threads, the revision of this program, and which pictures."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": device_name(device),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "git_revision": git_revision(),
        "data_fingerprint": data_fingerprint,
    }


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.processor() or platform.machine()})"


def git_revision() -> str | None:
    """The commit of this program, with "+changes" if files differ from it; None outside git."""
    root = Path(__file__).resolve().parents[1]
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
