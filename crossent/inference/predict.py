"""What is on these pictures? Files are decoded on all cores while the model works."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from os import cpu_count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from crossent.errors import UserError
from crossent.model_file import Classifier
from data.decode import UnusableImage, decode

BATCH_SIZE = 64


@dataclass(frozen=True)
class Prediction:
    """A path with either its probabilities or the reason why there are none."""

    path: str
    probs: dict[str, float] | None = None  # y by class name
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The most probable class."""
        return max(self.probs.items(), key=lambda item: item[1])[0] if self.probs else None


def predict(classifier: Classifier, paths: Iterable[str]) -> Iterator[Prediction]:
    """Predict file by file, in the order given, without ever holding more than a batch."""
    size = classifier.preprocessing.image_size
    paths = iter(paths)
    with ThreadPoolExecutor(cpu_count()) as pool:
        while chunk := list(islice(paths, BATCH_SIZE)):
            pictures = list(pool.map(lambda path: try_decode(path, size), chunk))
            yield from predict_batch(classifier, chunk, pictures)


def predict_batch(
    classifier: Classifier, paths: Sequence[str], pictures: Sequence[npt.NDArray[np.uint8] | str]
) -> Iterator[Prediction]:
    """Predictions for decoded pictures, errors for the strings among them."""
    usable = [p for p in pictures if not isinstance(p, str)]
    rows = iter(classifier.probs(torch.from_numpy(np.stack(usable))).tolist() if usable else [])
    for path, picture in zip(paths, pictures, strict=True):
        if isinstance(picture, str):
            yield Prediction(path, error=picture)
        else:
            yield Prediction(path, probs=dict(zip(classifier.class_names, next(rows), strict=True)))


def try_decode(path: str, size: int) -> npt.NDArray[np.uint8] | str:
    """(size, size, 3) pixels, or why there are none."""
    try:
        return decode(path, size)
    except UnusableImage as error:
        return str(error)


def find_pictures(paths: Sequence[str]) -> list[str]:
    """Files as they are given, and every file below the folders.

    Raises:
        UserError: a path does not exist, or a folder has no file.
    """
    found: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file() and not is_hidden(p, path))
            if not below:
                raise UserError(f"{path}: the folder has no files")
            found += map(str, below)
        elif path.exists():
            found.append(str(path))
        else:
            raise UserError(f"{path}: no such file or folder")
    return found


def is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
