"""The models by name. A new model is one file, and one entry in `MODELS`."""

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from models.efficientnet_lite0 import PUBLISHED_LITE0, EfficientNetLite0
from models.head import replace_head
from models.libraries import LIBRARIES, Published, create, names, published_by
from models.resnet9 import ResNet9
from models.small_cnn import SmallCNN

MODELS: dict[str, Callable[..., nn.Module]] = {
    "small_cnn": SmallCNN,
    "resnet9": ResNet9,
    "efficientnet_lite0": EfficientNetLite0,
}


def build_model(name: str, num_classes: int, **arguments: Any) -> nn.Module:
    """Build an untrained model that maps pictures to logits.

    Args:
        name: a key of `MODELS`, "torchvision/resnet18" or "timm/resnet18".
        num_classes: K.
        arguments: those that the model takes (see `arguments_of`): width, the number of channels
            of the first layer, and dropout, the probability of dropping a feature before the head.

    Shape:
        the model maps (N, 3, H, W) float to (N, K) float32 logits.

    Raises:
        ValueError: the name is not known; the message suggests known ones.
    """
    if name in MODELS:
        return MODELS[name](num_classes=num_classes, **arguments)
    model = create(*of_library(name))
    replace_head(model, num_classes, **arguments)
    return model


def arguments_of(name: str) -> set[str]:
    """Return which of width and dropout the model takes."""
    function = MODELS.get(name, replace_head)
    return inspect.signature(function).parameters.keys() & {"width", "dropout"}


def published(name: str) -> Published | None:
    """Return the weights that the authors of a model publish; None if there are none."""
    if name == "efficientnet_lite0":
        return PUBLISHED_LITE0
    return None if name in MODELS else published_by(*of_library(name))


def of_library(name: str) -> tuple[str, str]:
    """Return the library of a model and its name there: ("torchvision", "resnet18")."""
    library, _, own_name = name.partition("/")
    if library not in LIBRARIES:
        known = ", ".join([*MODELS, *(f"{known}/NAME" for known in LIBRARIES)])
        raise ValueError(f"model {name!r} is not known; choose one of {known}")
    if own_name not in names(library):
        near = difflib.get_close_matches(own_name, names(library), n=1) or ["resnet18"]
        raise ValueError(f"model {name} is not known; did you mean {library}/{near[0]}?")
    return library, own_name
