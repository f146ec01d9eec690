"""Check the arguments of a cross-entropy: torch's exception types, with a sentence to act on."""

from typing import Any

import torch
from torch import Tensor

REDUCTIONS = ("mean", "sum", "none")


def check_arguments(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> None:
    """Raise as `crossent.cross_entropy` promises; the values of target are not looked at."""
    _check_types(input, target, weight, ignore_index)
    check_reduction(reduction)
    check_label_smoothing(label_smoothing)
    if target.shape == input.shape:
        _check_probabilities(input, target, ignore_index)
    else:
        _check_indices(input, target, weight)
    if not input.is_floating_point():
        raise NotImplementedError(
            f"input has dtype {_name(input.dtype)}; expected logits in float64, float32, float16 or"
            " bfloat16: convert it with input.float()"
        )
    if weight is not None and weight.shape != (num_classes(input),):
        raise RuntimeError(
            f"weight has shape {tuple(weight.shape)}; expected ({num_classes(input)},), one weight"
            f" for each class of logits {tuple(input.shape)}"
        )


def check_reduction(reduction: str) -> None:
    """Raise ValueError unless reduction is one of the three."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; expected 'mean', 'sum' or 'none'")


def check_label_smoothing(label_smoothing: float) -> None:
    """Raise RuntimeError unless label_smoothing is a share."""
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing is {label_smoothing}; expected a number from 0 to 1")


def num_classes(input: Tensor) -> int:
    """Return K for logits (K,) or (N, K, ...)."""
    return input.size(min(1, input.dim() - 1))


def out_of_range(target: Tensor, classes: int, ignore_index: int) -> IndexError:
    """Return the error that names the first class index of target that is no class."""
    wrong = (target != ignore_index) & ((target < 0) | (target >= classes))
    place = [int(i) for i in wrong.nonzero()[0]]
    where = f"target{place if place else ''}"
    return IndexError(
        f"{where} is {int(target[tuple(place)])}; expected a class index from 0 to {classes - 1}"
        f" or ignore_index ({ignore_index})"
    )


def _check_types(input: Any, target: Any, weight: Any, ignore_index: Any) -> None:
    for name, value in (("input", input), ("target", target), ("weight", weight)):
        if not isinstance(value, Tensor) and not (name == "weight" and value is None):
            raise TypeError(f"{name} is a {type(value).__name__}; expected a torch.Tensor")
    if not isinstance(ignore_index, int | torch.SymInt):
        raise TypeError(f"ignore_index is {ignore_index!r}; expected an integer, such as -100")


def _check_probabilities(input: Tensor, target: Tensor, ignore_index: int) -> None:
    if not target.is_floating_point():
        raise RuntimeError(
            f"target has the shape of the logits {tuple(input.shape)}, so it holds class"
            f" probabilities, but its dtype is {_name(target.dtype)}; expected a floating dtype,"
            f" or class indices of shape {_index_shape(input)}"
        )
    if num_classes(input) == 0:
        raise IndexError(f"input has shape {tuple(input.shape)}; expected at least one class")
    if ignore_index >= 0:
        raise RuntimeError(
            f"ignore_index is {ignore_index}, but target holds class probabilities; expected class"
            " indices with it: for probabilities set the rows to leave out to 0"
        )


def _check_indices(input: Tensor, target: Tensor, weight: Tensor | None) -> None:
    expected = _index_shape(input)
    unbatched = input.dim() == 1 and target.shape == (1,)  # torch takes it too
    if target.shape != expected and not unbatched:
        raise _shape_error(input, target)
    if target.dtype not in (torch.int64, torch.uint8):
        raise RuntimeError(
            f"target has dtype {_name(target.dtype)}; expected class indices in int64 or uint8 for"
            f" its shape {tuple(target.shape)}, or probabilities of shape {tuple(input.shape)}"
        )
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(
            f"weight has dtype {_name(weight.dtype)}; expected {_name(input.dtype)}, as the logits"
            " have: convert it with weight.to(input.dtype)"
        )


def _shape_error(input: Tensor, target: Tensor) -> Exception:
    if input.dim() == 0:
        return IndexError("input has no dimensions; expected logits of shape (K,) or (N, K, ...)")
    batched = input.dim() > 1
    another_batch = target.shape[:1] != input.shape[:1] if batched else target.dim() == 1
    return (ValueError if another_batch else RuntimeError)(
        f"target has shape {tuple(target.shape)}; expected {_index_shape(input)} class indices or"
        f" {tuple(input.shape)} probabilities for logits {tuple(input.shape)}"
    )


def _index_shape(input: Tensor) -> tuple[int, ...]:
    """Return the shape of class indices for these logits: theirs without the classes."""
    return tuple(input.shape[:1] + input.shape[2:]) if input.dim() > 1 else ()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
