"""What a run computes with: its device, its precision, and the environment of both."""

import ctypes
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossent.errors import UserError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from malloc.h; their values are bytes
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "safetensors")
# Together with the packages, these determine the last bits of a sum.
KEYS = ("device", "precision", "threads", "processes", "sums")


def choose_device(name: str) -> torch.device:
    """Return the device: for `auto` a CUDA device, else Apple's mps, else the CPU.

    Raises:
        UserError: torch has no such device, cannot reach it here, or has no kernels for it.
    """
    if name == "auto":
        # torchrun numbers the processes of a machine; each takes the GPU with its number
        nth = os.environ.get("LOCAL_RANK", "0")
        without_cuda = "mps" if torch.backends.mps.is_available() else "cpu"
        name = f"cuda:{nth}" if torch.cuda.is_available() else without_cuda
    try:
        device = torch.device(name)
        (torch.zeros(1, device=device) + 1).item()  # a GPU may be too new or old for this torch
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"train.device: {name!r} cannot be used here ({reason}); set train.device=cpu, "
            "or install a torch built for it: https://pytorch.org/get-started/locally"
        ) from None
    return device


def choose_precision(name: str, device: torch.device) -> str:
    """Return the precision: for `auto` bf16 if the hardware supports it, else fp32."""
    if name != "auto":
        return name
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return "bf16" if fast else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context of a forward pass; with bf16, operations that tolerate it use bf16."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def prepare(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model on the device, in the memory layout that is fastest for convolutions."""
    return model.to(device).to(memory_format=torch.channels_last)


def set_up(threads: int | None = None) -> None:
    """Make torch deterministic, and keep freed memory; call this before torch is first used.

    Args:
        threads: number of CPU threads; the last bits of a sum depend on it.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # makes cuBLAS deterministic
    torch.backends.cudnn.benchmark = False
    # not torch.use_deterministic_algorithms: it imports the whole compiler, 0.75 s
    torch.set_deterministic_debug_mode("warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if threads is not None:
        torch.set_num_threads(threads)
    # By default glibc returns large blocks to the system, which clears each page before it is used
    # again: 2,000 pages per step of the small CNN, a tenth of its time.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, 1 << 30)


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the random generators of the CPU and of the device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        own = (device,) if device.type == "cuda" else ()  # mps has only one device
        states[device.type] = torch.get_device_module(device).get_rng_state(*own)
    return states


def set_generators(states: dict[str, Tensor], device: torch.device) -> None:
    """Restore the states of the generators, except that of a device that is not in use now."""
    for name in states.keys() & {"cpu", device.type}:
        module = torch if name == "cpu" else torch.get_device_module(device)
        own = (device,) if name == "cuda" else ()
        # a clone: torch reads from the start of the storage, not of the row
        module.set_rng_state(states[name].clone(), *own)


def current_environment(
    device: torch.device, precision: str, data_fingerprint: str
) -> dict[str, Any]:
    """Return the content of environment.json; "+changes" marks a commit with edited files."""
    chip = platform.processor() or platform.machine()
    if device.type == "cuda":
        chip = torch.cuda.get_device_name(device)
    words = ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"]
    try:
        git = subprocess.run(words, cwd=Path(__file__).parent, capture_output=True, text=True)
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
