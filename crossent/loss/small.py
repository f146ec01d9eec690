"""The mean over a few samples with class indices and nothing else, in the fewest steps.

This is what a training step of a small classifier calls. At 32 x 3 the time is that of calling an
operation at all, a microsecond each, so there are only the ones that the formula needs, and
constants are tensors made once: to multiply by a Python number costs twice as much.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from crossent.loss.blocked import LONG_ROW, Settings, gradient_again

SMALL = 1 << 18  # logits; with more, `blocked.py` is faster
FEW = 1 << 12  # logits; with fewer, only the number of operations counts
_EXACT = {torch.float32: torch.float32, torch.float64: torch.float64, torch.bfloat16: torch.float32}


def is_small(logits: Tensor, target: Tensor) -> bool:
    """Return whether `SmallLoss` can take them; the values of target are not looked at."""
    return (
        logits.dim() == 2
        and target.dtype is torch.int64
        and logits.shape[:1] == target.shape
        and 0 < logits.numel() <= SMALL
        and logits.dtype in _EXACT
    )


class SmallLoss(torch.autograd.Function):
    """E = mean of -log y_n,target; its derivative (y_nk - t_nk) / N is formed in forward.

    A class index that is no class, such as an ignored one, is a RuntimeError here.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        dtype, exact = logits.dtype, _EXACT[logits.dtype]
        share, minus_share, taken = _shares(target.shape[0], exact)
        index = target.unsqueeze(1)
        log_y = _log_softmax(logits, exact)
        loss = log_y.gather(1, index).sum().mul_(minus_share)
        gradient = log_y.exp_().mul_(share).scatter_add_(1, index, taken)
        ctx.gradient = gradient if dtype is exact else gradient.to(dtype)
        ctx.save_for_backward(logits, target)
        return loss if dtype is exact else loss.to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None or torch.is_grad_enabled():
            logits, target = ctx.saved_tensors
            return gradient_again(logits, target, Settings(), grad), None
        return (gradient if grad.item() == 1 else gradient.mul_(grad)), None


def _log_softmax(logits: Tensor, dtype: torch.dtype) -> Tensor:
    """Return log y; torch's own function is the fewest steps, but slow with many short rows."""
    if logits.shape[1] >= LONG_ROW or logits.numel() < FEW:
        return torch.log_softmax(logits, 1, dtype)
    shifted = torch.sub(logits.to(dtype), logits.amax(1, True))
    return shifted.sub_(shifted.exp().sum(1, True).log_())


@lru_cache(maxsize=32)
def _shares(num_samples: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return 1/N, -1/N, and -1/N for each sample without taking memory.  # (), (), (N, 1)"""
    share = torch.tensor(1 / num_samples, dtype=dtype, device="cpu")
    return share, -share, (-share).expand(num_samples, 1)
