"""Data sets by name. How to add one: CONTRIBUTING.md."""

from collections.abc import Callable
from typing import Any

from data.cifar import load_cifar
from data.drawings import load_drawings
from data.folder import load_folder
from data.images import Data

SOURCES: dict[str, Callable[..., Data]] = {
    "drawings": load_drawings,
    "folder": load_folder,
    "cifar": load_cifar,
}


def load_data(source: str, **arguments: Any) -> Data:
    """Load both splits from one of `SOURCES`, with the arguments of its function."""
    return SOURCES[source](**arguments)
