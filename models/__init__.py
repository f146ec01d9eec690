"""The models: a plain dict of names. A new model is one file and one line."""

import difflib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import nn

from models import timm_models, torchvision_models
from models.efficientnet_lite0 import EfficientNetLite0, published_lite0
from models.head import replace_head
from models.published import Published
from models.resnet9 import ResNet9
from models.small_cnn import SmallCNN

MODELS: dict[str, type[nn.Module]] = {
    "small_cnn": SmallCNN,
    "resnet9": ResNet9,
    "efficientnet_lite0": EfficientNetLite0,
}
PUBLISHED: dict[str, Callable[[], Published]] = {"efficientnet_lite0": published_lite0}
FAMILIES: dict[str, ModuleType] = {"torchvision": torchvision_models, "timm": timm_models}

# What model.name may be; NAME stands for any of the family.
MODEL_NAMES = (*MODELS, *(f"{family}/NAME" for family in FAMILIES))


def build_model(name: str, num_classes: int, **arguments: Any) -> nn.Module:
    """Build an untrained model that turns pictures into logits.

    Args:
        name: a key of `MODELS`, or "torchvision/resnet18" and the like.
        num_classes: K, the length of a row of logits.
        arguments: those of `arguments_of`.

    Shape:
        the model maps (N, 3, S, S) float to (N, K) float logits.

    Raises:
        ValueError: the name is not known.
    """
    if name in MODELS:
        return MODELS[name](num_classes=num_classes, **arguments)
    family, own_name = family_of(name)
    model: nn.Module = family.create(own_name)
    replace_head(model, num_classes, **arguments)
    return model


def arguments_of(name: str) -> set[str]:
    """Return which of width and dropout the model takes."""
    function: Callable[..., object] = MODELS.get(name, replace_head)
    return set(inspect.signature(function).parameters) & {"width", "dropout"}


def published(name: str) -> Published | None:
    """Return the weights that the authors of a model publish; None if there are none.

    Raises:
        ValueError: the name is not known.
    """
    if name in MODELS:
        return PUBLISHED[name]() if name in PUBLISHED else None
    family, own_name = family_of(name)
    found: Published = family.published(own_name)
    return found


def family_of(name: str) -> tuple[ModuleType, str]:
    """Return the module of a family, and the name that the model has there.

    Raises:
        ValueError: there is no such model; with the nearest names.
    """
    prefix, _, own_name = name.partition("/")
    if prefix not in FAMILIES:
        raise ValueError(f"model {name!r} is not known; choose one of {', '.join(MODEL_NAMES)}")
    names = FAMILIES[prefix].names()
    if own_name not in names:
        similar = difflib.get_close_matches(own_name, names) or ["resnet18", "resnet50"]
        near = " or ".join(f"{prefix}/{n}" for n in similar)
        raise ValueError(f"model {name} is not known; did you mean {near}?")
    return FAMILIES[prefix], own_name
