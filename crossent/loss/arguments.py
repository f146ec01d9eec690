"""Check the arguments of a cross-entropy: torch's exception types, with a sentence to act on."""

from typing import Any

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
    """Raise as `crossent.cross_entropy` promises; the values of target are not looked at."""
    _check_types(input, target, weight, ignore_index)
    check_settings(reduction, label_smoothing)
    if target.shape == input.shape:
        _check_probabilities(input, target, ignore_index)
    else:
        _check_indices(input, target, weight)
    if not input.is_floating_point():
        raise NotImplementedError(
            f"input has dtype {_name(input)}; expected logits in float64, float32, float16 or"
            " bfloat16: convert it with input.float()"
        )
    if weight is not None and weight.shape != (num_classes(input),):
        raise RuntimeError(
            f"weight has shape {tuple(weight.shape)}; expected ({num_classes(input)},), one weight"
            f" per class of logits {tuple(input.shape)}"
        )


def check_settings(reduction: str, label_smoothing: float) -> None:
    """Raise ValueError for an unknown reduction, RuntimeError for smoothing outside 0 to 1."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction!r}; expected 'mean', 'sum' or 'none'")
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing is {label_smoothing}; expected a number from 0 to 1")


def num_classes(input: Tensor) -> int:
    """Return K for logits (K,) or (N, K, ...)."""
    return input.size(min(1, input.dim() - 1))


def result_dtype(logits: Tensor, target: Tensor, weight: Tensor | None) -> torch.dtype:
    """Return the dtype of the loss: of all that is multiplied, as torch does."""
    dtype = logits.dtype
    if target.is_floating_point():
        dtype = torch.promote_types(dtype, target.dtype)
    return dtype if weight is None else torch.promote_types(dtype, weight.dtype)


def out_of_range(target: Tensor, num_classes: int, ignore_index: int) -> IndexError:
    """Return the error that names the first class index of target that is no class."""
    wrong = (target != ignore_index) & ((target < 0) | (target >= num_classes))
    place = wrong.nonzero()[0].tolist()
    return IndexError(
        f"target{place or ''} is {int(target[tuple(place)])}; expected a class index from 0 to"
        f" {num_classes - 1} or ignore_index ({ignore_index})"
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
            f" probabilities, but its dtype is {_name(target)}; expected a floating dtype, or class"
            f" indices of shape {_index_shape(input)}"
        )
    if ignore_index >= 0:
        raise RuntimeError(
            f"ignore_index is {ignore_index}, but target holds class probabilities; expected class"
            " indices with it: for probabilities set the rows to leave out to 0"
        )


def _check_indices(input: Tensor, target: Tensor, weight: Tensor | None) -> None:
    if input.dim() == 0:
        raise IndexError("input has no dimensions; expected logits of shape (K,) or (N, K, ...)")
    expected = _index_shape(input)
    unbatched = input.dim() == 1 and target.shape == (1,)  # torch takes it too
    if target.shape != expected and not unbatched:
        batched = input.dim() > 1
        another_batch = target.shape[:1] != expected[:1] if batched else target.dim() == 1
        raise (ValueError if another_batch else RuntimeError)(
            f"target has shape {tuple(target.shape)}; expected {expected} class indices or"
            f" {tuple(input.shape)} probabilities for logits {tuple(input.shape)}"
        )
    if target.dtype not in (torch.int64, torch.uint8):
        raise RuntimeError(
            f"target has dtype {_name(target)}; expected class indices in int64 or uint8 for its"
            f" shape {tuple(target.shape)}, or probabilities of shape {tuple(input.shape)}"
        )
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(
            f"weight has dtype {_name(weight)}; expected {_name(input)}, as the logits have:"
            " convert it with weight.to(input.dtype)"
        )


def _index_shape(input: Tensor) -> tuple[int, ...]:
    """Return the shape of class indices for these logits: theirs without the classes."""
    return tuple(input.shape[:1] + input.shape[2:]) if input.dim() > 1 else ()


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
