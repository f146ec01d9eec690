"""torchvision's classification models by name, each with a new head."""

import difflib
import os
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from models.head import replace_head
from models.published import Published, read_pth

PREFIX = "torchvision/"
# Without a linear layer at the end, with a second output, or under other names in their files.
NOT_FOR_US = ("squeezenet", "inception", "googlenet", "densenet")


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
    replace_head(model, num_classes, dropout)
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


def published_by_torchvision(name: str) -> Published:
    """Return the weights that torchvision calls DEFAULT.

    Raises:
        ValueError: the name is not known.
    """
    from torchvision import models

    check_name(name)
    weights = models.get_model_weights(name).DEFAULT
    transforms = weights.transforms()
    return Published(
        image_size=transforms.crop_size[0],
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        load=partial(load_from, weights.url),
    )


def load_from(url: str) -> dict[str, Tensor]:
    """Return weights of torchvision, downloaded once and kept where torch keeps them.

    Raises:
        ValueError: they cannot be downloaded; the message says which file to put where.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", os.path.basename(url))
    if not path.is_file():
        # torchvision's names end in the start of the SHA-256: resnet18-f37072fd.pth
        sha256_start = path.stem.rpartition("-")[2]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), sha256_start, progress=False)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"the weights cannot be downloaded ({error}); get {url} on another machine "
                f"and put it at {path}"
            ) from None
    return read_pth(path)
