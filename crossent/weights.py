"""Weights from a file into a model: all of them, of this model, and finite."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from crossent.errors import UserError


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put the tensors of a file into the model.

    Raises:
        UserError: one is missing, unknown or of another shape; it is named.
    """
    reason = mismatch(model.state_dict(), tensors)
    if reason:
        raise UserError(f"{path} belongs to another model: {reason}")
    put_tensors(model, tensors)


def put_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors that fit; those that are not given stay.

    By way of the model's own state, which notes the versions of its layers: plain tensors in a file
    have no such notes, and torchvision's MNASNet asks for them.
    """
    state = model.state_dict()
    state.update(tensors)
    model.load_state_dict(state)


def mismatch(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """The first way in which the tensors differ in name or shape, or nothing."""
    for name, tensor in expected.items():
        if name not in found:
            return f"it lacks {name}"
        if found[name].shape != tensor.shape:
            return f"{name} is {tuple(found[name].shape)} there and {tuple(tensor.shape)} here"
    strange = next((name for name in found if name not in expected), None)
    return f"it has {strange}, which this model lacks" if strange else ""


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise UserError if a number is infinite or NaN: nothing learned from there would be right."""
    name = first_not_finite(tensors)
    if name:
        raise UserError(f"{path} cannot be used: {name} holds numbers that are not finite")


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with an infinite number or a NaN."""
    return next((name for name, t in tensors.items() if not torch.isfinite(t).all()), None)
