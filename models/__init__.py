"""The models: a plain dict of names. A new model is one file and one line."""

from typing import Any

from torch import nn

from models.published import Published
from models.resnet9 import ResNet9
from models.small_cnn import SmallCNN
from models.torchvision_models import PREFIX, build_torchvision, published_by_torchvision

MODELS: dict[str, type[nn.Module]] = {
    "small_cnn": SmallCNN,
    "resnet9": ResNet9,
}

# What model.name may be; NAME stands for any of torchvision's.
MODEL_NAMES = (*MODELS, f"{PREFIX}NAME")


def build_model(name: str, num_classes: int, **arguments: Any) -> nn.Module:
    """Build an untrained model that turns pictures into logits.

    Args:
        name: a key of `MODELS`, or "torchvision/resnet18" and the like.
        num_classes: K, the length of a row of logits.
        arguments: what the model's own `__init__` takes, such as `width`.

    Shape:
        the model maps (N, 3, S, S) float to (N, K) float logits.

    Raises:
        ValueError: the name is not known.
    """
    if name.startswith(PREFIX):
        return build_torchvision(name.removeprefix(PREFIX), num_classes, **arguments)
    if name not in MODELS:
        raise ValueError(f"model {name!r} is not known; choose one of {', '.join(MODEL_NAMES)}")
    return MODELS[name](num_classes=num_classes, **arguments)


def published(name: str) -> Published | None:
    """Return the weights that the authors of a model publish; None if there are none.

    Raises:
        ValueError: torchvision has no model of that name.
    """
    if name.startswith(PREFIX):
        return published_by_torchvision(name.removeprefix(PREFIX))
    return None
