"""Models of torchvision and timm, and the weights that the authors of a model publish."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from models.head import head_name

LIBRARIES = ("torchvision", "timm")
# Without a linear layer at the end, with a second output, or under other names in their files.
NOT_FOR_US = ("squeezenet", "inception", "googlenet", "densenet")
RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Published:
    """What `model.weights=DEFAULT` stands for.

    Args:
        image_size: pixels, both sides.
        mean: of RGB values from 0 to 1.
        std: R, G, B are divided by it.
        load: returns the weights by the names that our model has; a ValueError says what to do if
            they cannot be had.
    """

    image_size: int
    mean: RGB
    std: RGB
    load: Callable[[], dict[str, Tensor]]


def names(library: str) -> list[str]:
    """Return the names that may follow "torchvision/" or "timm/".

    Raises:
        ValueError: timm is not installed.
    """
    if library == "torchvision":
        from torchvision import models

        return [n for n in models.list_models(module=models) if not n.startswith(NOT_FOR_US)]
    try:
        import timm
    except ImportError:
        raise ValueError("models of timm need the package: pip install timm") from None
    return list(timm.list_models())


def create(library: str, name: str) -> nn.Module:
    """Build an untrained model with the head of its library.

    Raises:
        ValueError: the head is not a linear layer.
    """
    model: nn.Module
    if library == "torchvision":
        from torchvision import models

        model = models.get_model(name, weights=None)
        return model
    import timm

    model = timm.create_model(name)
    if model.get_classifier() is not model.get_submodule(head_name(model)):  # type: ignore[operator]
        raise ValueError(f"timm/{name} does not end in a linear layer")
    return model


def published_by(library: str, name: str) -> Published:
    """Return the weights that torchvision calls DEFAULT, or those of timm's hub."""
    if library == "torchvision":
        from torchvision import models

        weights = models.get_model_weights(name).DEFAULT
        found, load = weights.transforms(), partial(download, weights.url)
        return Published(found.crop_size[0], tuple(found.mean), tuple(found.std), load)
    import timm

    config = timm.get_pretrained_cfg(name)
    return Published(config.input_size[-1], config.mean, config.std, partial(load_timm, name))


def download(url: str) -> dict[str, Tensor]:
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


def load_timm(name: str) -> dict[str, Tensor]:
    import timm

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # not a line per attempt
    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:  # of the network, of the hub, of the file
        reason = str(error).partition("\n")[0]
        raise ValueError(f"timm cannot load the weights of {name} ({reason})") from None


def read_pth(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .pth file, the format in which many weights are published.

    A pickle is read nowhere else, and here only by torch's restricted reader: `weights_only` builds
    tensors and containers and calls nothing else. What this program writes holds no pickle.

    Raises:
        ValueError: the file is damaged, or holds more than tensors by name.
    """
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many types: pickle's, zipfile's, torch's own
        reason = str(error).partition("\n")[0][:120] or type(error).__name__
        raise ValueError(f"{path} is damaged or holds more than tensors ({reason})") from None
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise ValueError(f"{path} holds no weights by name; expected a state_dict")
    return dict(tensors)
