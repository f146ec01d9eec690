"""One step, watched layer by layer: where the first number that is not finite came from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from crossent.device import autocast
from crossent.weights import first_not_finite
from models.head import train_mode


@dataclass
class Diagnosis:
    """What a step came to, and the largest numbers on the way.

    Args:
        outputs: largest absolute value that each layer gave, in the order of the forward pass;
        gradients: and of the gradient there, in the order of the backward pass.
    """

    weight: str | None = None  # the first that was not finite before the step
    bad_rows: list[int] = field(default_factory=list)  # pictures with pixels that are not finite
    outputs: dict[str, float] = field(default_factory=dict)
    gradients: dict[str, float] = field(default_factory=dict)
    loss: float = 0.0
    norm: float = 0.0

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.norm)

    def culprit(self) -> str:
        """Where it began, in words: weights come before pictures, the way up before the way down.

        In bf16 and float32 alike a largest value near 3e38 is the last before infinity.
        """
        output, gradient = first_bad(self.outputs), first_bad(self.gradients)
        if self.weight:
            return f"the weight {self.weight} was not finite before the step"
        if self.bad_rows:
            return f"the pixels of {len(self.bad_rows)} pictures are not finite"
        if output:
            return f"the output of {output} is the first that is not finite"
        if not math.isfinite(self.loss):
            return "all layers are finite, but the loss is not"
        if gradient:
            return f"the gradient at {gradient} is the first that is not finite"
        if not math.isfinite(self.norm):
            return "each gradient is finite, but the norm of all together is not"
        return "every number of the step is finite"


def first_bad(largest: dict[str, float]) -> str | None:
    return next((name for name, value in largest.items() if not math.isfinite(value)), None)


def diagnose(
    model: nn.Module, criterion: nn.Module, images: Tensor, target: Tensor, precision: str
) -> Diagnosis:
    """Go forward and backward as a training step does, and note what each layer made of it.

    Args:
        precision: "fp32" or "bf16", as in the run.

    Shape:
        images (B, 3, S, S); target (B,) class indices or (B, K) probabilities.
    """
    found = Diagnosis(
        weight=first_not_finite(dict(model.named_parameters())),
        bad_rows=(~torch.isfinite(images).flatten(1).all(dim=1)).nonzero().flatten().tolist(),
    )
    handles = list(watch(model, found))
    train_mode(model)
    model.zero_grad()
    with autocast(images.device, precision):
        loss = criterion(model(images), target)
    loss.backward()
    for handle in handles:
        handle.remove()
    norm = torch.nn.utils.get_total_norm(p.grad for p in model.parameters() if p.grad is not None)
    found.loss, found.norm = loss.item(), norm.item()
    return found


def watch(model: nn.Module, found: Diagnosis) -> Iterator[Any]:
    """Note the largest output of every layer, and the largest gradient there and at its weights."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Sequential):  # gives what the last of its layers gave
            continue
        yield module.register_forward_hook(partial(note_output, found, name or "the whole model"))
    for name, parameter in model.named_parameters():
        yield parameter.register_hook(partial(note_gradient, found, f"the weight {name}"))


def note_output(
    found: Diagnosis, name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any
) -> None:
    if not isinstance(output, Tensor):
        return
    found.outputs[name] = largest(output)
    if output.requires_grad:
        output.register_hook(partial(note_gradient, found, f"the output of {name}"))


def note_gradient(found: Diagnosis, name: str, gradient: Tensor) -> None:
    found.gradients[name] = largest(gradient)


def largest(tensor: Tensor) -> float:
    """The largest absolute value; NaN if there is one."""
    return tensor.detach().abs().max().item()
