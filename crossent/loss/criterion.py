"""The cross-entropy that training calls: a drop-in for torch's, written out by hand."""

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual

from crossent.loss.arguments import (
    check_arguments,
    check_label_smoothing,
    check_reduction,
    num_classes,
    out_of_range,
)
from crossent.loss.blocked import BlockedLoss, Settings
from crossent.loss.plain import plain_cross_entropy
from crossent.loss.small import SmallLoss, is_small

_PLAIN_TYPES = (Tensor, nn.Parameter)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross-entropy E between labels and the softmax of logits, averaged over samples.

    With y = softmax(z), the label t (a class index k stands for the t with a 1 in place k), label
    smoothing s and class weights w:

        E_n = -sum_k w_k ((1 - s) t_nk + s/K) log y_nk
        E   = sum_n E_n / N                        for probabilities
        E   = sum_n E_n / sum_n w_{target n}       for class indices, over those not ignored

    The arguments and results are those of `torch.nn.functional.cross_entropy` (without the two it
    deprecated). Half precision is computed in float32 and rounded once. As in torch, E is nan
    where a logit is nan or +inf, where a mean has nothing to average (an empty batch, all ignored,
    all weights 0), and where a class of probability exactly 0 (logit -inf) takes part with
    coefficient 0 (probabilities, or weight 0); a class that a class index does not name takes no
    part. Better than torch: an ignored sample has the gradient 0 even if it holds a nan, the
    gradient with respect to `weight` exists for class indices too, a negative
    `label_smoothing` is refused.

    Args:
        input: logits z, any real number, not probabilities.
        target: class indices (int64 or uint8), or class probabilities (floating point).
        weight: weight w of each class; None is 1 for all.
        ignore_index: class index of samples to leave out.
        reduction: "mean", "sum" or "none" (E_n).
        label_smoothing: share s of the label spread evenly over all classes, from 0 to 1.

    Shape:
        input (K,), (N, K) or (N, K, d1, ...); target the same without K, or the same; weight (K,);
        the result () or, for "none", the shape of class indices.

    Returns:
        E in nats, differentiable twice and in forward mode.

    Raises:
        ValueError: target has another batch size; reduction is unknown.
        RuntimeError: another shape, dtype or label_smoothing does not fit.
        IndexError: a class index is no class, and not ignore_index.
        NotImplementedError: input is not floating point.
        TypeError: an argument is not a tensor.

    Example:
        >>> y = torch.tensor([[0.33, 0.32, 0.35]])  # the article's prediction, for a dog
        >>> cross_entropy(y.log(), torch.tensor([0]))
        tensor(1.1087)

    Source:
        Equation (5.2) of the article; `docs/loss.md`.
    """
    if weight is None and reduction == "mean" and not label_smoothing and ignore_index == -100:
        small = _small(input, target)
        if small is not None:
            return small
    check_arguments(input, target, weight, ignore_index, reduction, label_smoothing)
    input, target, weight = _for_autocast(input, target, weight)
    if input.dim() > 1:
        return _checked(input, target, weight, ignore_index, reduction, label_smoothing)
    target = target.unsqueeze(0) if target.shape == input.shape else target.reshape(1)
    loss = _checked(input.unsqueeze(0), target, weight, ignore_index, reduction, label_smoothing)
    return loss.reshape(())


class CrossEntropyLoss(nn.Module):
    """`cross_entropy` as a module; `weight` is a buffer, so it moves with the module.

    Args, Shape and Raises are those of `cross_entropy`.

    Example:
        >>> criterion = CrossEntropyLoss(label_smoothing=0.1)
        >>> criterion(torch.zeros(1, 3), torch.tensor([2]))  # knows nothing: ln 3
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
        check_reduction(reduction)
        check_label_smoothing(label_smoothing)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy of logits `input` and `target`."""
        return cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


def _small(input: Tensor, target: Tensor) -> Tensor | None:
    """Return the loss by the shortest way, or None where that is not for these arguments."""
    try:
        if is_small(input, target) and _is_usual(input, target) and not _is_raised(input):
            loss: Tensor = SmallLoss.apply(input, target)
            return loss
    except (AttributeError, RuntimeError, TypeError):
        pass  # the long way copes with ignored samples, or says what is wrong
    return None


def _is_usual(input: Tensor, target: Tensor) -> bool:
    """Return whether the fast texts apply: plain CPU tensors, and reverse mode for the logits."""
    return (
        type(input) in _PLAIN_TYPES
        and type(target) in _PLAIN_TYPES
        and input.is_cpu
        and target.is_cpu
        and not target.requires_grad
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()  # as autograd.Function.apply asks
        and unpack_dual(input).tangent is None
        and (target.dtype is torch.int64 or unpack_dual(target).tangent is None)
    )


def _checked(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    if _is_usual(input, target) and (weight is None or _is_usual(input, weight)):
        wanted = torch.is_grad_enabled() and input.requires_grad
        settings = Settings(weight, ignore_index, reduction, label_smoothing)
        loss: Tensor = BlockedLoss.apply(input, target, settings, wanted)
        return loss
    try:
        return plain_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)
    except RuntimeError as error:
        if "out of bounds" not in str(error):
            raise
        raise out_of_range(target, num_classes(input), ignore_index) from None


def _for_autocast(
    input: Tensor, target: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Under autocast, raise half precision to float32, as torch does for its own losses."""
    device = input.device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return input, target, weight
    return _raised(input), _raised(target), None if weight is None else _raised(weight)


def _is_raised(tensor: Tensor) -> bool:
    """Return whether autocast raises a CPU tensor to float32."""
    return tensor.dtype is torch.bfloat16 and torch.is_autocast_enabled("cpu")


def _raised(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
