"""environment.json: where a run was made, so that its numbers can be understood later."""

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


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What has changed since, of all that may give a sum other last bits: "threads: 2 -> 4"."""
    keys = ("packages", "device", "precision", "threads", "processes", "sums")
    flat_old, flat_new = ({k: e[k] for k in keys if k in e} for e in (old, new))
    for flat in (flat_old, flat_new):
        flat |= flat.pop("packages", {})
    return [
        f"{key}: {flat_old[key]} -> {flat_new[key]}"
        for key in flat_old
        if key in flat_new and flat_old[key] != flat_new[key]
    ]


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
