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
    """Return the content of environment.json; "+changes" marks a commit with edited files."""
    chip = platform.processor() or platform.machine()
    if device.type == "cuda":
        chip = torch.cuda.get_device_name(device)
    words = ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"]
    here = Path(__file__).parent
    try:
        git = subprocess.run(words, cwd=here, capture_output=True, text=True, check=False)
        revision = git.stdout.strip() or None
    except OSError:  # there is no git here
        revision = None
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": f"{device} ({chip})",
        "precision": precision,
        "threads": torch.get_num_threads(),
        "git_revision": revision,
        "data_fingerprint": data_fingerprint,
    }


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return one line per difference that may change the last bits of a sum: "threads: 2 -> 4"."""
    old, new = (old | old.get("packages", {}), new | new.get("packages", {}))
    known = [key for key in (*KEYS, *PACKAGES) if key in old and key in new]
    return [f"{key}: {old[key]} -> {new[key]}" for key in known if old[key] != new[key]]
