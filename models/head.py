"""The last layer of a classifier, and how to train that layer alone."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Head(nn.Linear):
    """Features to logits, starting at zero: y = 1/K and E = ln K, whatever the features are.

    Args:
        in_features: of the layer that the head replaces.
        num_classes: K.
        dropout: probability of dropping a feature.

    Shape:
        (..., in_features) to (..., K) float32 logits.
    """

    def __init__(self, in_features: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__(in_features, num_classes)
        self.dropout = dropout
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # logits rounded to bf16 would blur E
            x = x.to(self.weight.dtype)
            return F.linear(F.dropout(x, self.dropout, self.training), self.weight, self.bias)


def head_name(model: nn.Module) -> str:
    """Return the name of the last linear layer, such as "fc" or "classifier.1".

    Raises:
        ValueError: the model has none.
    """
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise ValueError(f"{type(model).__name__} has no linear layer to be its head")
    return str(names[-1])


def replace_head(model: nn.Module, num_classes: int, dropout: float) -> None:
    """Put a `Head` for K classes in the place of the last linear layer."""
    parent, _, child = head_name(model).rpartition(".")
    old = model.get_submodule(head_name(model))
    assert isinstance(old, nn.Linear)
    setattr(model.get_submodule(parent), child, Head(old.in_features, num_classes, dropout))


def is_of_head(model: nn.Module, name: str) -> bool:
    """Return whether a parameter or buffer of that name belongs to the head."""
    return name.startswith(f"{head_name(model)}.")


def freeze_body(model: nn.Module) -> None:
    """Train only the head from now on."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_of_head(model, name))


def train_mode(model: nn.Module) -> None:
    """Call `model.train()`, but keep frozen layers in evaluation mode.

    Otherwise a frozen batch normalisation would adapt its statistics to the new pictures.
    """
    model.train()
    for module in model.modules():
        parameters = list(module.parameters(recurse=False))
        if parameters and not any(p.requires_grad for p in parameters):
            module.eval()
