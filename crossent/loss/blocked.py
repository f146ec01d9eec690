"""The sums of `cross_entropy.py` on the CPU, in blocks of samples that stay in the cache.

Memory takes the time: torch writes the log-probabilities, a gradient of them full of zeros and the
gradient, and reads them again. Here a block of logits is read once, and its losses and its gradient
are formed while it is in the cache: memory sees one reading and one writing.

Logits are (N, K, D) here, with D all further dimensions together (1 when there are none), and what
belongs to a sample is (N, 1, D).
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual

from crossent.loss.arguments import out_of_range, result_dtype

BLOCK = 1 << 20  # logits in a block: 4 MB in float32; fewer make more calls, more leave the cache
LONG_ROW = 32  # classes; from here on torch.softmax is the faster one

Block = tuple[slice, slice, slice] | None  # of N, K (whole) and D; None: the whole tensor


def can_be_blocked(logits: Tensor, target: Tensor, weight: Tensor | None) -> bool:
    """Return whether all are plain CPU tensors, and at most the logits are differentiated."""
    tensors = (logits, target) if weight is None else (logits, target, weight)
    return (
        all(type(tensor) in (Tensor, nn.Parameter) and tensor.is_cpu for tensor in tensors)
        and not any(tensor.requires_grad for tensor in tensors[1:])
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()  # as autograd.Function.apply asks
        and all(unpack_dual(t).tangent is None for t in tensors if t.is_floating_point())
    )


class BlockedLoss(torch.autograd.Function):
    """The cross-entropy of checked arguments, with its derivative with respect to the logits.

    Forward forms the gradient. Backward multiplies it in place and returns it without keeping it; a
    second backward through a retained graph forms it again by the same operations: the same bits.
    `plain` is the same loss in operations that can be differentiated twice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        plain: Callable[..., Tensor],
        needs_gradient: bool,
        logits: Tensor,
        *arguments: Any,
    ) -> Tensor:
        target, weight, *settings = arguments
        ctx.save_for_backward(logits, target, weight)
        ctx.plain, ctx.settings = plain, settings
        ctx.gradient = _empty_gradient(logits) if needs_gradient else None
        return blocked_cross_entropy(ctx.gradient, logits, *arguments)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        logits, *labels = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph
            loss = ctx.plain(logits, *labels, *ctx.settings)
            (gradient,) = torch.autograd.grad(loss, logits, grad, create_graph=True)
            return None, None, gradient, *[None] * 5
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            gradient = _empty_gradient(logits)
            blocked_cross_entropy(gradient, logits, *labels, *ctx.settings)
        if grad.dim() > 0:
            gradient.mul_(_three_axes(grad.unsqueeze(1)))
        elif grad.item() != 1:
            gradient.mul_(grad)
        return None, None, gradient.view(logits.shape), *[None] * 5


def blocked_cross_entropy(
    gradient: Tensor | None,
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """Return the cross-entropy, and write its derivative into `gradient` (N, K, D), if any.

    The further arguments are those of `crossent.cross_entropy`, with a batch dimension.
    """
    dtype = result_dtype(logits, target, weight)
    exact = torch.promote_types(dtype, torch.float32)
    weight = None if weight is None else weight.to(exact).unsqueeze(1)  # (K, 1)
    samples = logits.shape[:1] + logits.shape[2:]
    soft = target.shape == logits.shape
    logits = _three_axes(logits)
    losses = torch.empty(logits.size(0), 1, logits.size(2), dtype=exact)
    if soft:
        label_at = _soft_labels(target, weight, label_smoothing, exact)
        norm = torch.tensor(losses.numel(), dtype=exact)
    else:
        shape = logits.size(1), exact
        label_at, norm = _hard_labels(target, weight, ignore_index, label_smoothing, *shape)
    scale = norm.reciprocal() if reduction == "mean" else torch.ones_like(norm)
    _fill(logits, label_at, scale, losses, gradient)
    if reduction == "none":
        return losses.to(dtype).view(samples)
    total = losses.sum()
    return (total / norm if reduction == "mean" else total).to(dtype)


class Label(NamedTuple):
    """The coefficients of a block: c_nk = even_nk + spike_n in the place of a class index."""

    total: Tensor | None = None  # (N, 1, D) sum_k c_nk; None: 1
    even: Tensor | None = None  # (N, K, D), or 1 where all are the same; None: 0
    place: Tensor | None = None  # (N, 1, D) int64, the class index; None: no spikes
    spike: Tensor | None = None  # (N, 1, D); None: 1
    ignored: Tensor | None = None  # (N, 1, D) bool, the samples to leave out; None: no sample

    def dot(self, logits: Tensor, top: Tensor, room: Tensor) -> Tensor:
        """Return sum_k c_nk (z_nk - top_n), working in `room` (N, K, D).  # (N, 1, D)"""
        result = torch.zeros_like(top)
        if self.place is not None:
            result = logits.gather(1, self.place).sub_(top)
        if self.spike is not None:
            result.mul_(self.spike)
        if self.even is not None:  # else other classes take no part, not even with 0 * -inf
            result += torch.sub(logits, top, out=room).mul_(self.even).sum(1, keepdim=True)
        return result

    def subtract_from(self, values: Tensor, scale: Tensor) -> None:
        """Subtract c_nk scale from values, in place."""
        if self.place is not None:
            spike = -scale if self.spike is None else self.spike * -scale
            values.scatter_add_(1, self.place, spike.expand_as(self.place))
        if self.even is not None:
            values.addcmul_(self.even, scale, value=-1)


def _soft_labels(
    target: Tensor, weight: Tensor | None, label_smoothing: float, dtype: torch.dtype
) -> Callable[[Block], Label]:
    """Return a function that forms w_k ((1 - s) t_nk + s/K) for a block."""
    target = _three_axes(target)
    share = torch.tensor(label_smoothing / target.size(1), dtype=dtype)

    def label_at(block: Block) -> Label:
        even = _cut(target, block).to(dtype)
        even = torch.add(share, even, alpha=1 - label_smoothing) if label_smoothing else even
        even = even if weight is None else even * weight
        return Label(even.sum(1, keepdim=True), even)

    return label_at


def _hard_labels(
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    num_classes: int,
    dtype: torch.dtype,
) -> tuple[Callable[[Block], Label], Tensor]:
    """Return a function for the labels of a block, and the weight of the samples not ignored.

    Raises:
        IndexError: an index is no class.
    """
    index, ignored = _three_axes(target.long().unsqueeze(1)), None
    if 0 <= ignore_index < num_classes or not _are_classes(index, num_classes):
        ignored = index == ignore_index
        index = index.masked_fill(ignored, 0)
        if not _are_classes(index, num_classes):
            raise out_of_range(target, num_classes, ignore_index)
    total = even = spike = None
    norm = torch.tensor(index.numel(), dtype=dtype)
    if weight is not None or ignored is not None or label_smoothing:  # else all c are 0 or 1
        spike = torch.ones_like(index, dtype=dtype) if weight is None else weight[index, 0]
        spike = spike if ignored is None else spike.masked_fill(ignored, 0)
        norm, total = spike.sum(), spike
    if label_smoothing and spike is not None:
        even = torch.ones(1, 1, 1, dtype=dtype) if weight is None else weight.unsqueeze(0)
        even = even * (label_smoothing / num_classes)
        spike = spike * (1 - label_smoothing)
        total = spike + (label_smoothing if weight is None else even.sum())

    def label_at(block: Block) -> Label:
        parts = (_cut(tensor, block) for tensor in (index, spike, ignored))
        return Label(_cut(total, block), even, *parts)

    return label_at, norm


def _are_classes(index: Tensor, num_classes: int) -> bool:
    if index.numel() == 0:
        return True
    lowest, highest = index.aminmax()
    return lowest.item() >= 0 and highest.item() < num_classes


def _fill(
    logits: Tensor,
    label_at: Callable[[Block], Label],
    scale: Tensor,
    losses: Tensor,
    gradient: Tensor | None,
) -> None:
    """Write E_n into `losses` and dE_n/dz_nk times scale into `gradient`, block by block."""
    exact = losses.dtype
    in_place = gradient is not None and gradient.dtype == exact
    # Room for a block, used again for each: fresh memory would cost more than all the rest.
    raised, room = torch.empty(0, dtype=exact), torch.empty(0, dtype=exact)
    for block in _blocks(logits):
        part = _cut(logits, block)
        if part.dtype != exact:
            part = raised.resize_(part.shape).copy_(part)
        out = _cut(gradient, block) if in_place else room.resize_(part.shape)
        _fill_block(part, label_at(block), scale, _cut(losses, block), out, gradient is not None)
        if gradient is not None and not in_place:
            _cut(gradient, block).copy_(out)


def _fill_block(
    logits: Tensor, label: Label, scale: Tensor, losses: Tensor, out: Tensor, needs_gradient: bool
) -> None:
    """Write E_n of a block into `losses`, and dE_n/dz_nk times scale into `out` if asked for."""
    top = logits.amax(1, keepdim=True)
    expected = label.dot(logits, top, out)  # sum_k c_nk (z_nk - max z_n)
    log_norm, norm = _exponentials(logits, top, out)
    share = scale
    if label.total is None:
        torch.sub(log_norm, expected, out=losses)
    else:
        torch.mul(log_norm, label.total, out=losses).sub_(expected)  # -sum_k c_nk log y_nk
        share = label.total * scale
    if needs_gradient:
        out.mul_(share if norm is None else share / norm)
        label.subtract_from(out, scale)  # y_nk sum_j c_nj - c_nk
    if label.ignored is not None:  # whatever was in them, even a nan
        losses.masked_fill_(label.ignored, 0)
        out.masked_fill_(label.ignored, 0)


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
    return out.amax(1, keepdim=True).log_().neg_(), None  # the largest y is exp(0) / norm


def _three_axes(tensor: Tensor) -> Tensor:
    """Return (N, K, ...) as (N, K, D): a view, unless the further axes cannot be joined."""
    return tensor.unsqueeze(2) if tensor.dim() == 2 else tensor.flatten(2)


def _empty_gradient(logits: Tensor) -> Tensor:
    return torch.empty_like(_three_axes(logits))


def _blocks(logits: Tensor) -> Iterator[Block]:
    """Yield the slices of (N, K, D): whole samples, or parts of D where one sample is too large."""
    num_samples, num_classes, num_places = logits.shape
    if logits.numel() <= BLOCK:
        yield None
        return
    places = min(num_places, max(1, BLOCK // num_classes))
    samples = max(1, BLOCK // (num_classes * places))
    for n in range(0, num_samples, samples):
        for d in range(0, num_places, places):
            yield slice(n, n + samples), slice(None), slice(d, d + places)


def _cut(tensor: Any, block: Block) -> Any:
    """Return the block of a tensor, if there is one; cutting costs a microsecond, so not always."""
    return tensor if block is None or tensor is None else tensor[block]
