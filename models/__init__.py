"""The models by name. A new model is one file, and one entry in `MODELS`."""

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from models.cnn import ResNet9, SmallCNN
from models.efficientnet_lite0 import PUBLISHED_LITE0, EfficientNetLite0
from models.head import Head, head_name
from models.libraries import LIBRARIES, Published, download, load_timm, module_of, names

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
    library, module, own_name = of_library(name)
    model: nn.Module = (module.create_model if library == "timm" else module.get_model)(own_name)
    last = model.get_submodule(head_name(model))
    assert isinstance(last, nn.Linear)
    if library == "timm" and model.get_classifier() is not last:  # type: ignore[operator]
        raise ValueError(f"{name} does not end in a linear layer")
    # the dropout is added to the model's own
    model.set_submodule(head_name(model), Head(last.in_features, num_classes, **arguments))
    return model


def arguments_of(name: str) -> set[str]:
    """Return which of width and dropout the model takes."""
    return inspect.signature(MODELS.get(name, Head)).parameters.keys() & {"width", "dropout"}


def published(name: str) -> Published | None:
    """Return the weights that the authors of a model publish; None if there are none."""
    if name in MODELS:
        return PUBLISHED_LITE0 if name == "efficientnet_lite0" else None
    library, module, own_name = of_library(name)
    if library == "timm":
        found, load = module.get_pretrained_cfg(own_name), partial(load_timm, own_name)
        return Published(found.input_size[-1], found.mean, found.std, load)
    weights = module.get_model_weights(own_name).DEFAULT
    found, load = weights.transforms(), partial(download, weights.url)
    return Published(found.crop_size[0], tuple(found.mean), tuple(found.std), load)


def of_library(name: str) -> tuple[str, Any, str]:
    """Return a library, its module, and the name of the model there."""
    library, _, own_name = name.partition("/")
    if library not in LIBRARIES:
        known = ", ".join([*MODELS, *(f"{known}/NAME" for known in LIBRARIES)])
        raise ValueError(f"model {name!r} is not known; choose one of {known}")
    if own_name not in names(library):
        near = difflib.get_close_matches(own_name, names(library), n=1) or ["resnet18"]
        raise ValueError(f"model {name} is not known; did you mean {library}/{near[0]}?")
    return library, module_of(library), own_name
