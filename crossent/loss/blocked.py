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

BLOCK = 1 << 20  # logits in a block: 4 MB in float32, the L2 caches of two cores


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
    for block in _blocks(logits):
        part, label = logits[block], labels.at(block)
        if gradient is None:
            losses[block] = _block(part, label, torch.empty_like(part, dtype=exact), None)
        elif gradient.dtype == exact:
            losses[block] = _block(part, label, gradient[block], scale[block])
        else:
            slopes = torch.empty_like(part, dtype=exact)
            losses[block] = _block(part, label, slopes, scale[block])
            gradient[block] = slopes
    if settings.reduction == "none":
        return losses.to(dtype).view(sample_shape)
    total = losses.sum()
    return (total / norm if settings.reduction == "mean" else total).to(dtype)


def _block(
    logits: Tensor, label: IndexLabels | Coefficients, out: Tensor, scale: Tensor | None
) -> Tensor:
    """Return E_n of a block; leave dE_n/dz_nk scale_n in `out`, unless scale is None."""
    if logits.dtype != out.dtype:
        logits = out.copy_(logits)
    torch.sub(logits, logits.amax(1, keepdim=True), out=out)
    expected = label.dot(out)  # sum_k c_nk (z_nk - max z_n)
    norm = out.exp_().sum(1, keepdim=True)
    losses = label.total * norm.log() - expected  # -sum_k c_nk log y_nk
    if scale is not None:
        out.mul_(label.total * scale / norm)
        label.subtract_from(out, scale)  # y_nk sum_j c_nj - c_nk
    if label.ignored is not None:  # whatever was in them, even a nan
        losses.masked_fill_(label.ignored, 0)
        out.masked_fill_(label.ignored, 0)
    return losses


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


def _empty_gradient(logits: Tensor) -> Tensor:
    return torch.empty_like(three_axes(logits))
