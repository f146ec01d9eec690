"""Which device and which precision a run computes with."""

import os

import torch
from torch import nn

from crossent.errors import UserError


def choose_device(name: str) -> torch.device:
    """`auto` takes a CUDA device, else Apple's mps, else the CPU; other names are torch's own.

    Raises:
        UserError: torch has no such device, or cannot reach it here.
    """
    if name == "auto":
        # torchrun numbers the processes of a machine, and each takes the GPU of its number
        nth = os.environ.get("LOCAL_RANK", "0")
        name = f"cuda:{nth}" if torch.cuda.is_available() else "cpu"
        if name == "cpu" and torch.backends.mps.is_available():
            name = "mps"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"train.device: {name!r} cannot be used here ({reason}); try auto"
        ) from None
    return device


def choose_precision(name: str, device: torch.device) -> str:
    """`auto` is bf16 where the machine multiplies it in hardware, else fp32."""
    if name != "auto":
        return name
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and has_cpu_bf16()
    return "bf16" if fast else "fp32"


def has_cpu_bf16() -> bool:
    """Whether the processor has bfloat16 instructions; emulated ones are slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported())


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context of a forward pass: bf16 where it is safe, or nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def prepare(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a model to the device, in the layout in which convolutions are fastest."""
    prepared: nn.Module = model.to(device).to(memory_format=torch.channels_last)
    return prepared


def compute_the_same_every_time(threads: int | None = None) -> None:
    """Ask torch for algorithms that give the same bits for the same input; before the first use.

    Args:
        threads: of the CPU; sums are cut into as many parts, so other numbers give other bits.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS needs it to be exact
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    if threads is not None:
        torch.set_num_threads(threads)
