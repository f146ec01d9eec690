"""Weights that the authors of a model publish, and the pictures that they were trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

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
