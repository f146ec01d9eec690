"""torchvision's classification models by name, each with a new head."""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from models.head import Head, head_name

PREFIX = "torchvision/"
# Without a linear layer at the end, with a second output, or under other names in their files.
NOT_FOR_US = ("squeezenet", "inception", "googlenet", "densenet")


@dataclass(frozen=True)
class Pretrained:
    """The weights that torchvision calls DEFAULT, and the pictures that they were trained on."""

    url: str
    path: Path  # where the file is kept
    image_size: int  # pixels, both sides
    mean: tuple[float, float, float]  # of RGB values from 0 to 1
    std: tuple[float, float, float]


def torchvision_names() -> list[str]:
    """Return the names that may follow "torchvision/"."""
    from torchvision import models

    return [n for n in models.list_models(module=models) if not n.startswith(NOT_FOR_US)]


def build_torchvision(name: str, num_classes: int, dropout: float = 0.0) -> nn.Module:
    """Build an untrained model of torchvision with a head for K classes.

    Args:
        name: such as "resnet18".
        num_classes: K.
        dropout: probability before the last layer, in addition to the model's own dropout.

    Raises:
        ValueError: the name is not known.
    """
    from torchvision import models

    check_name(name)
    model: nn.Module = models.get_model(name, weights=None)
    parent, _, child = head_name(model).rpartition(".")
    old = model.get_submodule(head_name(model))
    assert isinstance(old, nn.Linear)
    setattr(model.get_submodule(parent), child, Head(old.in_features, num_classes, dropout))
    return model


def check_name(name: str) -> None:
    """Raise ValueError, with the nearest names, unless the model can be built from torchvision."""
    names = torchvision_names()
    if name not in names:
        similar = difflib.get_close_matches(name, names, n=3) or ["resnet18", "mobilenet_v3_small"]
        raise ValueError(
            f"model {PREFIX}{name} is not known; did you mean "
            f"{' or '.join(PREFIX + n for n in similar)}?"
        )


def pretrained(name: str) -> Pretrained:
    """Return where the DEFAULT weights of a model are, and the preprocessing that they expect.

    Raises:
        ValueError: the name is not known.
    """
    from torchvision import models

    check_name(name)
    weights = models.get_model_weights(name).DEFAULT
    transforms = weights.transforms()
    return Pretrained(
        url=weights.url,
        path=Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(weights.url),
        image_size=transforms.crop_size[0],
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
    )


def fetch(weights: Pretrained) -> Path:
    """Return the path of the weights; download them if necessary and check their hash.

    Raises:
        ValueError: the download failed; the message says which file to put where.
    """
    if weights.path.is_file():
        return weights.path
    # torchvision's names end in the start of the SHA-256: resnet18-f37072fd.pth
    sha256_start = weights.path.stem.rpartition("-")[2]
    try:
        weights.path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(weights.url, str(weights.path), sha256_start, progress=False)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"the weights cannot be downloaded ({error}); get {weights.url} on another machine "
            f"and put it at {weights.path}"
        ) from None
    return weights.path
