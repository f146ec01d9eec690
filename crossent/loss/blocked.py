"""The sums of `cross_entropy.py` on the CPU, in blocks of samples that fit into the cache.

Memory access takes most of the time. torch writes and reads three tensors as large as the logits:
the log-probabilities, their gradient and the gradient of the logits. Here the losses and the
gradient of a block are computed while the block is in the cache: it is read once, and its gradient
is written once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual

from crossent.loss.arguments import coefficient, result_dtype

BLOCK = 1 << 20  # logits per block: 4 MB in float32; more would not fit into the cache


def can_be_blocked(logits: Tensor, target: Tensor, weight: Tensor | None) -> bool:
    """Return whether all tensors are plain ones on the CPU and only the logits need a gradient."""
    tensors = (logits, target) if weight is None else (logits, target, weight)
    return (
        all(type(tensor) in (Tensor, nn.Parameter) and tensor.is_cpu for tensor in tensors)
        and not any(tensor.requires_grad for tensor in tensors[1:])
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()  # as autograd.Function.apply checks
        and all(unpack_dual(t).tangent is None for t in tensors if t.is_floating_point())
    )


class BlockedLoss(torch.autograd.Function):
    """The cross-entropy of checked arguments, with its derivative with respect to the logits.

    Forward computes the gradient; backward multiplies it in place, returns it and does not keep it.
    A second backward through a retained graph computes the same bits by the same operations.
    `plain` is the same loss in operations that can be differentiated twice.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, plain: Callable[..., Tensor], *arguments: Any) -> Tensor:
        target, weight, *settings = arguments
        ctx.save_for_backward(logits, target, weight)
        ctx.plain, ctx.settings = plain, settings
        ctx.gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        return blocked_cross_entropy(ctx.gradient, logits, *arguments)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        logits, *labels = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph
            loss = ctx.plain(logits, *labels, *ctx.settings)
            (gradient,) = torch.autograd.grad(loss, logits, grad, create_graph=True)
            return gradient, *[None] * 6
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            gradient = torch.empty_like(logits)
            blocked_cross_entropy(gradient, logits, *labels, *ctx.settings)
        if grad.dim() > 0:
            gradient.mul_(grad.unsqueeze(1))
        elif grad.item() != 1:
            gradient.mul_(grad)
        return gradient, *[None] * 6


def blocked_cross_entropy(
    gradient: Tensor | None,
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """Return the cross-entropy, and write its derivative into `gradient` (N, K, ...), if any.

    The other arguments are those of `crossent.cross_entropy`, with a batch dimension.
    """
    dtype = result_dtype(logits, target, weight)
    exact = torch.promote_types(dtype, torch.float32)
    weight = None if weight is None else weight.to(exact)
    if target.shape == logits.shape:
        norm = torch.tensor(target[:, :1].numel(), dtype=exact)
        if label_smoothing or weight is not None:  # otherwise `_fill` converts each block
            target = coefficient(target.to(exact), weight, label_smoothing)
        label = Label(target)
    else:
        num_classes = logits.size(1)
        label, norm = _of_indices(target, weight, ignore_index, label_smoothing, num_classes, exact)
    scale = norm.reciprocal() if reduction == "mean" else torch.ones_like(norm)
    losses = torch.empty(logits[:, :1].shape, dtype=exact)
    in_place = gradient is not None and gradient.dtype == exact
    # All blocks use the same buffers: getting new memory would take longer than all computations.
    raised, room = torch.empty(0, dtype=exact), torch.empty(0, dtype=exact)
    num_rows = max(1, BLOCK * len(logits) // max(1, logits.numel()))
    for start in range(0, len(logits), num_rows):
        rows = slice(start, start + num_rows)
        part = logits[rows]
        if part.dtype != exact:
            part = raised.resize_(part.shape).copy_(part)
        out = gradient[rows] if gradient is not None and in_place else room.resize_(part.shape)
        of_part = Label(*(None if field is None else field[rows] for field in label))
        _fill(part, of_part, scale, losses[rows], out, gradient is not None)
        if gradient is not None and not in_place:
            gradient[rows] = out
    if reduction == "none":
        return losses.squeeze(1).to(dtype)
    total = losses.sum()
    return (total / norm if reduction == "mean" else total).to(dtype)


class Label(NamedTuple):
    """The coefficients of samples: c_nk = dense_nk, plus own_n if k is the class index.

    For probabilities, only `dense` is given, and `_fill` computes its sum over the classes.
    """

    dense: Tensor | None  # (N, K, ...); None: 0
    class_index: Tensor | None = None  # (N, 1, ...) int64
    own: Tensor | None = None  # (N, 1, ...)
    total: Tensor | None = None  # (N, 1, ...) sum_k c_nk
    ignored: Tensor | None = None  # (N, 1, ...) bool, the samples to ignore; None: none


def _of_indices(
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    num_classes: int,
    dtype: torch.dtype,
) -> tuple[Label, Tensor]:
    """Return the coefficients of class indices, and the total weight of samples not ignored."""
    index, dense = target.long().unsqueeze(1), None
    ignored = index == ignore_index
    index = index.masked_fill(ignored, 0)
    own = torch.ones_like(index, dtype=dtype) if weight is None else weight[index]
    own = own.masked_fill_(ignored, 0)
    norm, total = own.sum(), own
    if label_smoothing:
        nothing = torch.zeros(1, num_classes, *[1] * (index.dim() - 2), dtype=dtype)
        dense = coefficient(nothing, weight, label_smoothing)  # w_k s/K
        own = own * (1 - label_smoothing)
        total = own + dense.sum(1, keepdim=True)
        dense = dense.expand(len(index), *dense.shape[1:])
    return Label(dense, index, own, total, ignored if ignored.any() else None), norm


def _fill(
    logits: Tensor, label: Label, scale: Tensor, losses: Tensor, out: Tensor, needs_gradient: bool
) -> None:
    """Write E_n of a block into `losses`, and dE_n/dz_nk times scale into `out` if needed."""
    dense, class_index, own, total, ignored = label
    top = logits.amax(1, keepdim=True)
    expected = torch.zeros_like(top)  # sum_k c_nk (z_nk - top_n)
    if class_index is not None and own is not None:
        # Only the term of the true class is computed: 0 * -inf in another class would be nan.
        expected = logits.gather(1, class_index).sub_(top).mul_(own)
    if dense is not None:
        dense = dense.to(out.dtype)
        expected += torch.sub(logits, top, out=out).mul_(dense).sum(1, keepdim=True)
        total = dense.sum(1, keepdim=True) if total is None else total
    assert total is not None
    norm = torch.sub(logits, top, out=out).exp_().sum(1, keepdim=True)
    torch.sub(norm.log() * total, expected, out=losses)  # -sum_k c_nk log y_nk
    if needs_gradient:  # y_nk sum_j c_nj - c_nk
        out.mul_(total * scale / norm)
        if class_index is not None and own is not None:
            out.scatter_add_(1, class_index, own * -scale)
        if dense is not None:
            out.addcmul_(dense, scale, value=-1)
    if ignored is not None:  # An ignored sample may contain a nan.
        losses.masked_fill_(ignored, 0)
        out.masked_fill_(ignored, 0)
