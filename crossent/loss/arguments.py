"""Checks of the arguments, with torch's exception types, and the coefficients c_nk."""

import torch
from torch import Tensor


def check_arguments(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> None:
    """Raise the errors that `cross_entropy` documents; the values of target are not checked."""
    for name, value in (("input", input), ("target", target), ("weight", weight)):
        if not isinstance(value, Tensor) and not (name == "weight" and value is None):
            raise TypeError(f"{name} is a {type(value).__name__}; expected a torch.Tensor")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction!r}; expected 'mean', 'sum' or 'none'")
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing is {label_smoothing}; expected a number from 0 to 1")
    if not input.is_floating_point():
        raise NotImplementedError(
            f"input has dtype {input.dtype}; expected floating-point logits: use input.float()"
        )
    shape = tuple(input.shape)  # (K,) or (N, K, ...)
    num_classes = shape[min(1, input.dim() - 1)]
    soft = target.shape == input.shape
    expected = shape[:1] + shape[2:] if len(shape) > 1 else ()
    unbatched = len(shape) == 1 and target.shape == (1,)  # torch accepts it too
    if not (soft or target.shape == expected or unbatched):
        another_batch = target.shape[:1] != expected[:1]
        raise (ValueError if another_batch else RuntimeError)(
            f"target has shape {tuple(target.shape)}; expected {expected} class indices or"
            f" {shape} probabilities for logits {shape}"
        )
    if not (target.is_floating_point() if soft else target.dtype in (torch.int64, torch.uint8)):
        raise RuntimeError(
            f"target has dtype {target.dtype}; expected class indices in int64 or uint8, or"
            f" floating-point probabilities of shape {shape}"
        )
    if soft and ignore_index >= 0:
        raise RuntimeError(
            f"ignore_index is {ignore_index}, but target has class probabilities; expected class"
            " indices, or probabilities 0 in the rows to ignore"
        )
    if weight is not None and weight.shape != (num_classes,):
        raise RuntimeError(
            f"weight has shape {tuple(weight.shape)}; expected ({num_classes},), one weight per"
            f" class of logits {shape}"
        )


def result_dtype(logits: Tensor, target: Tensor, weight: Tensor | None) -> torch.dtype:
    """Return the dtype of the loss, by torch's rules of type promotion."""
    dtype = logits.dtype
    if target.is_floating_point():
        dtype = torch.promote_types(dtype, target.dtype)
    return dtype if weight is None else torch.promote_types(dtype, weight.dtype)


def coefficient(label: Tensor, weight: Tensor | None, label_smoothing: float) -> Tensor:
    """Return c_nk = w_k ((1 - s) t_nk + s/K), with s the label smoothing.  # (N, K, ...)"""
    if label_smoothing:
        share = label.new_full((), label_smoothing / label.size(1))
        label = torch.add(share, label, alpha=1 - label_smoothing)
    return label if weight is None else label * weight.view(-1, *[1] * (label.dim() - 2))


def out_of_range(target: Tensor, num_classes: int, ignore_index: int) -> IndexError:
    """Return the error for the first class index in target that is not a class."""
    wrong = (target != ignore_index) & ((target < 0) | (target >= num_classes))
    first = wrong.nonzero()[0].tolist()
    return IndexError(
        f"target{first or ''} is {int(target[tuple(first)])}; expected a class index from 0 to"
        f" {num_classes - 1} or ignore_index ({ignore_index})"
    )
