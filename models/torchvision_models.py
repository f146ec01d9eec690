"""torchvision's classification models and their weights of ImageNet."""

import os
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from models.published import Published, read_pth

# Without a linear layer at the end, with a second output, or under other names in their files.
NOT_FOR_US = ("squeezenet", "inception", "googlenet", "densenet")


def names() -> list[str]:
    """Return the names that may follow "torchvision/"."""
    from torchvision import models

    return [n for n in models.list_models(module=models) if not n.startswith(NOT_FOR_US)]


def create(name: str) -> nn.Module:
    """Build an untrained model with torchvision's own head."""
    from torchvision import models

    model: nn.Module = models.get_model(name, weights=None)
    return model


def published(name: str) -> Published:
    """Return the weights that torchvision calls DEFAULT."""
    from torchvision import models

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
