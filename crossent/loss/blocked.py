"""The cross-entropy of `plain.py` on the CPU, in blocks of samples that stay in the cache.

Memory is what takes the time: torch writes the log-probabilities, a gradient of them full of zeros
and the gradient, and reads them again. Here a block of logits is read once, and its losses and its
gradient are formed while it is in the cache: memory sees one reading and one writing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossent.loss.labels import (
    Block,
    Coefficients,
    IndexLabels,
    Probabilities,
    index_labels,
    three_axes,
)
from crossent.loss.plain import plain_cross_entropy, result_dtype

BLOCK = 1 << 20  # logits in a block: 4 MB in float32; fewer make more calls, more leave the cache
LONG_ROW = 32  # classes; from here on torch.softmax is the faster one


@dataclass(frozen=True)
class Settings:
    """The arguments of a cross-entropy with respect to which nothing is differentiated here."""

    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0


class BlockedLoss(torch.autograd.Function):
    """The cross-entropy of checked arguments, differentiable with respect to the logits.

    The gradient is formed in forward, while the softmax is at hand. Backward gives it away, so that
    nothing is kept; a second backward through a retained graph forms it again.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, settings: Settings, gradient_wanted: bool
    ) -> Tensor:
        ctx.save_for_backward(logits, target)
        ctx.settings = settings
        # float16 waits for backward: 1/N of a gradient would underflow before a GradScaler's factor
        # reaches it.
        formed = gradient_wanted and logits.dtype != torch.float16
        ctx.gradient = _empty_gradient(logits) if formed else None
        return blocked_loss(logits, target, settings, ctx.gradient)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        logits, target = ctx.saved_tensors
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None or torch.is_grad_enabled():
            return gradient_again(logits, target, ctx.settings, grad), None, None, None
        if ctx.settings.reduction == "none":
            gradient.mul_(three_axes(grad.unsqueeze(1)))
        elif grad.item() != 1:
            gradient.mul_(grad)
        return gradient.view(logits.shape), None, None, None


def gradient_again(logits: Tensor, target: Tensor, settings: Settings, grad: Tensor) -> Tensor:
    """Return the gradient from the start; differentiable itself where create_graph asks for it."""
    if torch.is_grad_enabled():
        loss = plain_cross_entropy(
            logits,
            target,
            settings.weight,
            settings.ignore_index,
            settings.reduction,
            settings.label_smoothing,
        )
        return torch.autograd.grad(loss, logits, grad, create_graph=True)[0]
    gradient = _empty_gradient(logits)
    blocked_loss(logits, target, settings, gradient, grad)
    return gradient.view(logits.shape)


def blocked_loss(
    logits: Tensor,
    target: Tensor,
    settings: Settings,
    gradient: Tensor | None,
    grad: Tensor | None = None,
) -> Tensor:
    """Return the loss, and write its derivative times `grad` into `gradient` (N, K, D)."""
    dtype = result_dtype(logits, target, settings.weight)
    exact = torch.promote_types(dtype, torch.float32)
    sample_shape = logits.shape[:1] + logits.shape[2:]
    soft = target.shape == logits.shape
    logits = three_axes(logits)
    labels, norm = _labels(logits, target, settings, exact, soft)
    losses = torch.empty_like(logits[:, :1], dtype=exact)  # (N, 1, D)
    scale = _scale(losses, settings.reduction, norm, grad)
    raised, slopes = _room(logits, exact), _room(logits, exact)
    for block in _blocks(logits):
        part = logits[block]
        if part.dtype != exact:
            part = _like(part, raised).copy_(part)
        in_place = gradient is not None and gradient.dtype == exact
        out = gradient[block] if in_place else _like(part, slopes)  # type: ignore[index]
        losses[block] = _block(
            part, labels.at(block), out, None if gradient is None else scale[block]
        )
        if gradient is not None and not in_place:
            gradient[block] = out
    if settings.reduction == "none":
        return losses.to(dtype).view(sample_shape)
    total = losses.sum()
    return (total / norm if settings.reduction == "mean" else total).to(dtype)


def _block(
    logits: Tensor, label: IndexLabels | Coefficients, out: Tensor, scale: Tensor | None
) -> Tensor:
    """Return E_n of a block; leave dE_n/dz_nk scale_n in `out`, unless scale is None."""
    top = logits.amax(1, keepdim=True)
    expected = label.dot(logits, top, out)  # sum_k c_nk (z_nk - max z_n)
    log_norm, norm = _exponentials(logits, top, out)
    losses = label.total * log_norm - expected  # -sum_k c_nk log y_nk
    if scale is not None:
        share = label.total * scale
        out.mul_(share if norm is None else share / norm)
        label.subtract_from(out, scale)  # y_nk sum_j c_nj - c_nk
    if label.ignored is not None:  # whatever was in them, even a nan
        losses.masked_fill_(label.ignored, 0)
        out.masked_fill_(label.ignored, 0)
    return losses


def _exponentials(logits: Tensor, top: Tensor, out: Tensor) -> tuple[Tensor, Tensor | None]:
    """Write y_nk norm_n into `out`; return log sum_k exp(z_nk - top_n), and norm unless it is 1.

    torch.softmax goes through a row once while it is in the innermost cache, but is slow with short
    ones.
    """
    if logits.size(1) < LONG_ROW and logits.size(2) == 1:
        norm = torch.sub(logits, top, out=out).exp_().sum(1, keepdim=True)
        return norm.log(), norm
    if logits.size(2) == 1:
        torch.softmax(logits.squeeze(2), 1, out=out.squeeze(2))
    else:
        torch.softmax(logits, 1, out=out)
    return -out.amax(1, keepdim=True).log(), None  # the largest y is exp(0) / norm


def _labels(
    logits: Tensor, target: Tensor, settings: Settings, exact: torch.dtype, soft: bool
) -> tuple[IndexLabels | Probabilities, Tensor]:
    """Return the labels and what the mean divides by: N, or the weight of those not ignored."""
    weight = None if settings.weight is None else settings.weight.to(exact)
    if soft:
        column = None if weight is None else weight.unsqueeze(1)
        labels = Probabilities(three_axes(target), column, settings.label_smoothing, exact)
        return labels, torch.tensor(logits[:, 0].numel(), dtype=exact)
    num_classes, smoothing = logits.size(1), settings.label_smoothing
    return index_labels(target.long(), num_classes, weight, settings.ignore_index, smoothing, exact)


def _scale(losses: Tensor, reduction: str, norm: Tensor, grad: Tensor | None) -> Tensor:
    """Return d(result)/dE_n, times `grad` where there is one.  # (N, 1, D)"""
    scale = 1 / norm if reduction == "mean" else torch.ones_like(norm)
    if grad is not None:
        grad = three_axes(grad.unsqueeze(1)) if reduction == "none" else grad
        scale = scale * grad.to(scale.dtype)
    return scale.expand(losses.shape)


def _blocks(logits: Tensor) -> Iterator[Block]:
    """Yield the slices of (N, K, D): whole samples, or parts of D where one sample is too large."""
    num_samples, num_classes, num_places = logits.shape
    places = min(num_places, max(1, BLOCK // num_classes))
    samples = max(1, BLOCK // max(1, num_classes * places))
    for n in range(0, num_samples, samples):
        for d in range(0, num_places, max(1, places)):
            yield slice(n, n + samples), slice(None), slice(d, d + places)


def _room(logits: Tensor, dtype: torch.dtype) -> Tensor:
    """Return memory for a block; what is not written to takes none."""
    places = max(logits.size(1), min(BLOCK, logits.numel()))
    return torch.empty(places, dtype=dtype)


def _like(part: Tensor, room: Tensor) -> Tensor:
    return room[: part.numel()].view(part.shape)


def _empty_gradient(logits: Tensor) -> Tensor:
    return torch.empty_like(three_axes(logits))
