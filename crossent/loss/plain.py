"""The cross-entropy E and its derivative, by hand: the text to read.

Every case is one sum. With y = softmax(z) and a coefficient c_nk for every class of every sample,

    E_n = -sum_k c_nk log y_nk            (5.2), where c is the label t of the article
    dE_n/dz_nk = y_nk sum_j c_nj - c_nk   = y_nk - t_nk, when the label sums to 1
    dE_n/dc_nk = -log y_nk

A class index is the label with a 1 in its place; label smoothing moves the label towards 1/K;
class weights multiply it. `blocked.py` computes the same faster, and is tested against this.
"""

from typing import Any

import torch
from torch import Tensor


def surprise(logits: Tensor) -> Tensor:
    """Return -log y for y = softmax(logits), finite for logits of any size.  # (N, K, ...)

    y does not change when all logits of a sample move together. Moved so that the largest is 0,
    no exponential overflows and their sum is at least 1, so its logarithm is safe.
    """
    shifted = logits - logits.detach().amax(dim=1, keepdim=True)
    return shifted.exp().sum(dim=1, keepdim=True).log() - shifted


class SampleLoss(torch.autograd.Function):
    """E_n for each sample, (N, K, ...) -> (N, ...), with its derivative beside it.

    `counted` marks the classes whose term is in the sum at all: a class index selects one term,
    and the others must not matter even where log y = -inf, though 0 * inf is nan. None: all.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, coefficient: Tensor, counted: Tensor | None) -> Tensor:
        terms = coefficient * surprise(logits)  # -c_nk log y_nk
        return _masked(terms, counted).sum(dim=1)  # (5.2): E_n = -sum_k c_nk log y_nk

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        # Only differentiable operations of the inputs: so the second derivative is autograd's.
        logits, coefficient, counted = ctx.saved_tensors
        grad = grad.unsqueeze(1)
        grad_logits = grad_coefficient = None
        if ctx.needs_input_grad[0]:
            grad_logits = grad * slope(logits, coefficient)  # y_nk - t_nk
        if ctx.needs_input_grad[1]:
            grad_coefficient = grad * _masked(surprise(logits), counted)  # -log y_nk
        return grad_logits, grad_coefficient, None


class SampleLossForwardMode(SampleLoss):
    """The same with its directional derivative; apart, because torch.compile refuses a `jvp`."""

    @staticmethod
    def jvp(ctx: Any, dlogits: Tensor | None, dcoefficient: Tensor | None, _: None) -> Tensor:
        logits, coefficient, counted = ctx.saved_tensors
        derivative = torch.zeros_like(logits)
        if dlogits is not None:
            derivative = derivative + slope(logits, coefficient) * dlogits
        if dcoefficient is not None:
            derivative = derivative + _masked(surprise(logits), counted) * dcoefficient
        return derivative.sum(dim=1)


def slope(logits: Tensor, coefficient: Tensor) -> Tensor:
    """Return dE_n/dz_nk = y_nk sum_j c_nj - c_nk: what was said less what was right."""
    probs = surprise(logits).neg().exp()
    return probs * coefficient.sum(dim=1, keepdim=True) - coefficient


def _masked(terms: Tensor, counted: Tensor | None) -> Tensor:
    # where, not a product: 0 * inf would be nan.
    return terms if counted is None else torch.where(counted, terms, 0)


def plain_cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """Return the cross-entropy of checked arguments with a batch dimension.  # () or (N, ...)

    The arguments are those of `crossent.cross_entropy`. Half precision is computed in float32.
    """
    dtype = result_dtype(logits, target, weight)
    exact = torch.promote_types(dtype, torch.float32)
    logits = logits.to(exact)
    weight = None if weight is None else weight.to(exact)
    if target.shape == logits.shape:
        loss = _soft(logits, target.to(exact), weight, reduction, label_smoothing)
    else:
        loss = _hard(logits, target.long(), weight, ignore_index, reduction, label_smoothing)
    return loss.to(dtype)


def result_dtype(logits: Tensor, target: Tensor, weight: Tensor | None) -> torch.dtype:
    """Return the dtype of the loss: of all that is multiplied, as torch does."""
    dtype = logits.dtype
    if target.shape == logits.shape:
        dtype = torch.promote_types(dtype, target.dtype)
    return dtype if weight is None else torch.promote_types(dtype, weight.dtype)


def _soft(
    logits: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    losses = _sample_losses(logits, _coefficient(target, weight, label_smoothing), None)
    return losses.mean() if reduction == "mean" else _reduced(losses, reduction)


def _hard(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    valid = (target != ignore_index).unsqueeze(1)  # (N, 1, ...)
    label = one_hot(torch.where(valid, target.unsqueeze(1), 0), logits)
    # An ignored sample takes part with logits 0, so that a nan in it goes nowhere, not even into
    # the second derivative; its coefficients are 0.
    logits = torch.where(valid, logits, 0)
    coefficient = torch.where(valid, _coefficient(label, weight, label_smoothing), 0)
    counted = None if label_smoothing else label.bool() & valid
    losses = _sample_losses(logits, coefficient, counted)
    if reduction != "mean":
        return _reduced(losses, reduction)
    label_weight = label if weight is None else label * _along_classes(weight, label)
    return losses.sum() / torch.where(valid, label_weight, 0).sum()  # the weight that counts


def one_hot(target: Tensor, like: Tensor) -> Tensor:
    """Return t with a 1 in the place of each class index of target (N, 1, ...).  # (N, K, ...)"""
    return torch.zeros_like(like).scatter(1, target, 1.0)


def _coefficient(label: Tensor, weight: Tensor | None, label_smoothing: float) -> Tensor:
    """Return c_nk = w_k ((1 - s) t_nk + s/K), with s the label smoothing."""
    if label_smoothing:
        label = (1 - label_smoothing) * label + label_smoothing / label.size(1)
    return label if weight is None else label * _along_classes(weight, label)


def _along_classes(weight: Tensor, label: Tensor) -> Tensor:
    return weight.view(-1, *[1] * (label.dim() - 2))  # (K, 1, ...), next to (N, K, ...)


def _sample_losses(logits: Tensor, coefficient: Tensor, counted: Tensor | None) -> Tensor:
    function = SampleLoss if torch.compiler.is_compiling() else SampleLossForwardMode
    losses: Tensor = function.apply(logits, coefficient, counted)
    return losses


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    return losses.sum() if reduction == "sum" else losses
