"""The cross-entropy E and its derivative, written by hand.

All cases are one sum. With y = softmax(z) and a coefficient c_nk for each class of each sample,

    E_n = -sum_k c_nk log y_nk            (5.2), where c is the label t of the article
    dE_n/dz_nk = y_nk sum_j c_nj - c_nk   = y_nk - t_nk, when the label sums to 1
    dE_n/dc_nk = -log y_nk

A class index k is the label with t_k = 1 and 0 elsewhere; label smoothing moves the label towards
1/K; class weights multiply it. GPUs use this version; on a CPU `blocked.py` is faster.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from crossent.loss.arguments import check_arguments, coefficient, out_of_range, result_dtype
from crossent.loss.blocked import BlockedLoss, can_be_blocked


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross-entropy E between labels and the softmax of logits, averaged over samples.

    With y = softmax(z), the label t (a class index k is the label with t_k = 1 and 0 elsewhere),
    label smoothing s and class weights w:

        E_n = -sum_k w_k ((1 - s) t_nk + s/K) log y_nk
        E   = sum_n E_n / N                        for probabilities
        E   = sum_n E_n / sum_n w_{target n}       for class indices, over those not ignored

    The arguments (except two deprecated ones) and results are those of
    `torch.nn.functional.cross_entropy`; results are nan where torch's are. Half precision is
    computed in float32 and rounded once. Unlike in torch, an ignored sample has the gradient 0 even
    if it contains a nan, the gradient with respect to `weight` exists for class indices too, a
    negative `label_smoothing` is refused, and `weight` may have another dtype than `input`.

    Args:
        input: logits z, any real number, not probabilities.
        target: class indices (int64 or uint8), or class probabilities (floating point).
        weight: weight w of each class; None for all 1.
        ignore_index: class index of samples to ignore.
        reduction: "mean", "sum" or "none" (E_n).
        label_smoothing: share s of the label spread evenly over all classes, from 0 to 1.

    Shape:
        input (K,), (N, K) or (N, K, d1, ...); target: the same without K for class indices, the
        same for probabilities; weight (K,); the result () or, for "none", the input's without K.

    Returns:
        E in nats, differentiable twice and in forward mode.

    Raises:
        ValueError: target has another batch size; reduction is unknown.
        RuntimeError: another shape, a dtype or label_smoothing does not fit.
        IndexError: a class index is neither a class nor ignore_index.
        NotImplementedError: input is not floating point.
        TypeError: an argument is not a tensor.

    Example:
        >>> y = torch.tensor([[0.33, 0.32, 0.35]])  # the article's prediction, for a dog
        >>> cross_entropy(y.log(), torch.tensor([0]))
        tensor(1.1087)

    Source:
        Equation (5.2) of the article; `docs/loss.md`.
    """
    check_arguments(input, target, weight, ignore_index, reduction, label_smoothing)
    input, target, weight = _for_autocast(input, target, weight)
    dtype = result_dtype(input, target, weight)
    # In float16, 1/N of a gradient would underflow before a GradScaler multiplies it.
    logits = input.float() if input.dtype == torch.float16 else input
    if input.dim() == 1:
        target = target.unsqueeze(0) if target.shape == input.shape else target.reshape(1)
        logits = logits.unsqueeze(0)
    arguments = (target, weight, ignore_index, reduction, label_smoothing)
    try:
        loss: Tensor
        if logits.size(1) == 0:
            loss = _without_classes(logits, target, ignore_index, reduction, label_smoothing)
        elif can_be_blocked(logits, target, weight):
            logits = logits if torch.is_grad_enabled() else logits.detach()
            loss = BlockedLoss.apply(logits, plain_cross_entropy, *arguments)
        else:
            loss = plain_cross_entropy(logits, *arguments)
    except (IndexError, RuntimeError) as error:
        if "out of bounds" not in str(error):
            raise
        raise out_of_range(target, logits.size(1), ignore_index) from None
    return (loss.reshape(()) if input.dim() == 1 else loss).to(dtype)


class CrossEntropyLoss(nn.Module):
    """`cross_entropy` as a module; `weight` is a buffer, so it moves with the module.

    Args, Shape and Raises are those of `cross_entropy`.

    Example:
        >>> criterion = CrossEntropyLoss(label_smoothing=0.1)
        >>> criterion(torch.zeros(1, 3), torch.tensor([2]))  # a uniform prediction: ln 3
        tensor(1.0986)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy of logits `input` and `target`."""
        return cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


def plain_cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """Return the cross-entropy of checked arguments with a batch dimension.  # () or (N, ...)"""
    dtype = result_dtype(logits, target, weight)
    exact = torch.promote_types(dtype, torch.float32)
    logits = logits.to(exact)  # (N, K, ...)
    weight = None if weight is None else weight.to(exact)
    sample_loss = SampleLoss if torch.compiler.is_compiling() else SampleLossForwardMode
    losses: Tensor
    if target.shape == logits.shape:
        c = coefficient(target.to(exact), weight, label_smoothing)
        losses = sample_loss.apply(logits, c, None)
        norm = losses.new_tensor(losses.numel())
    else:
        valid = (target != ignore_index).unsqueeze(1)  # (N, 1, ...)
        index = torch.where(valid, target.long().unsqueeze(1), 0)
        label = torch.zeros_like(logits).scatter(1, index, 1.0)
        # The logits of an ignored sample are replaced by 0, so that a nan in it has no effect, not
        # even on the second derivative; its coefficients are 0.
        c = torch.where(valid, coefficient(label, weight, label_smoothing), 0)
        counted = None if label_smoothing else label.bool() & valid
        losses = sample_loss.apply(torch.where(valid, logits, 0), c, counted)
        norm = torch.where(valid, coefficient(label, weight, 0), 0).sum()  # of those not ignored
    if reduction != "none":
        losses = losses.sum()
    return (losses / norm if reduction == "mean" else losses).to(dtype)


class SampleLoss(torch.autograd.Function):
    """E_n of each sample, (N, K, ...) -> (N, ...), and its derivative.

    `counted` marks the classes whose term is in the sum; None: all. A class index selects one term.
    The others must have no effect even where log y = -inf, although 0 * inf is nan.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, coefficient: Tensor, counted: Tensor | None) -> Tensor:
        terms = coefficient * neg_log_softmax(logits)  # -c_nk log y_nk
        return _masked(terms, counted).sum(dim=1)  # (5.2): E_n = -sum_k c_nk log y_nk

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        # Only differentiable operations on the inputs, so autograd can differentiate again.
        logits, coefficient, counted = ctx.saved_tensors
        grad = grad.unsqueeze(1)
        grad_logits = grad_coefficient = None
        if ctx.needs_input_grad[0]:
            grad_logits = grad * gradient(logits, coefficient)  # y_nk - t_nk
        if ctx.needs_input_grad[1]:
            grad_coefficient = grad * _masked(neg_log_softmax(logits), counted)  # -log y_nk
        return grad_logits, grad_coefficient, None


class SampleLossForwardMode(SampleLoss):
    """`SampleLoss` with its directional derivative, which torch.compile does not support."""

    @staticmethod
    def jvp(ctx: Any, dlogits: Tensor | None, dcoefficient: Tensor | None, _: None) -> Tensor:
        logits, coefficient, counted = ctx.saved_tensors
        derivative = torch.zeros_like(logits)
        if dlogits is not None:
            derivative = derivative + gradient(logits, coefficient) * dlogits
        if dcoefficient is not None:
            derivative = derivative + _masked(neg_log_softmax(logits), counted) * dcoefficient
        return derivative.sum(dim=1)


def neg_log_softmax(logits: Tensor) -> Tensor:
    """Return -log y for y = softmax(logits), finite for logits of any size.  # (N, K, ...)

    Adding a number to all logits of a sample does not change y. If the largest logit becomes 0,
    no exponential overflows, and their sum is at least 1, so its logarithm is finite.
    """
    shifted = logits - logits.detach().amax(dim=1, keepdim=True)
    return shifted.exp().sum(dim=1, keepdim=True).log() - shifted


def gradient(logits: Tensor, coefficient: Tensor) -> Tensor:
    """Return dE_n/dz_nk = y_nk sum_j c_nj - c_nk: prediction minus label."""
    probs = neg_log_softmax(logits).neg().exp()
    return probs * coefficient.sum(dim=1, keepdim=True) - coefficient


def _masked(terms: Tensor, counted: Tensor | None) -> Tensor:
    # torch.where instead of a product, because 0 * inf is nan
    return terms if counted is None else torch.where(counted, terms, 0)


def _without_classes(
    logits: Tensor, target: Tensor, ignore_index: int, reduction: str, label_smoothing: float
) -> Tensor:
    """Return torch's result for K = 0: each E_n is an empty sum; s/K and the mean are nan."""
    is_hard = target.shape != logits.shape
    if is_hard and (target != ignore_index).any():
        raise out_of_range(target, 0, ignore_index)
    losses = logits.sum(1) if reduction == "none" else logits.sum()
    return losses + math.nan if reduction == "mean" or (is_hard and label_smoothing) else losses


def _for_autocast(input: Tensor, *others: Any) -> tuple[Any, ...]:
    """Return the tensors, under autocast in float32, as torch does for its own losses."""
    device, tensors = input.device.type, (input, *others)
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return tensors
    half = (torch.float16, torch.bfloat16)
    return tuple(t.float() if t is not None and t.dtype in half else t for t in tensors)
