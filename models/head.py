"""The last layer of a classifier, and how to train that layer alone."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Head(nn.Linear):
    """A linear layer from features to logits. It starts at zero, so y = 1/K and E = ln K exactly.

    Args:
        in_features: number of features.
        num_classes: K.
        dropout: probability of dropping a feature.

    Shape:
        (..., in_features) to (..., K) float32 logits.
    """

    __call__: Callable[..., Tensor]  # for the type of the logits

    def __init__(self, in_features: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__(in_features, num_classes)
        self.dropout = dropout
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # bf16 logits would make E inexact
            x = x.to(self.weight.dtype)
            return F.linear(F.dropout(x, self.dropout, self.training), self.weight, self.bias)


def head_name(model: nn.Module) -> str:
    """Return the name of the last linear layer, such as "fc" or "classifier.1"."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise ValueError(f"{type(model).__name__} has no linear layer to be its head")
    return str(names[-1])


def is_of_head(model: nn.Module, name: str) -> bool:
    return name.startswith(f"{head_name(model)}.")


def freeze_body(model: nn.Module) -> None:
    """Freeze all but the head: the body runs without gradients and stores no activations."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_of_head(model, name))


def train_mode(model: nn.Module) -> None:
    """Call `model.train()`, but keep a frozen body and its batch normalisation in `eval`."""
    model.train()
    if not all(parameter.requires_grad for parameter in model.parameters()):
        model.eval()
        model.get_submodule(head_name(model)).train()
