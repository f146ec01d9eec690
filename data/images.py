"""The types for the files of a data set and for its decoded pictures."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


class UnusableImage(ValueError):
    """An error: a file cannot be decoded. The message is the reason, without the path."""


@dataclass(frozen=True)
class Unusable:
    """A file that was left out, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that is expected to be a picture."""

    path: str  # below the root; it may contain bytes that are not UTF-8
    label: int  # an index into the class names
    split: str  # "train" or "val"; "" if the split is to be drawn
    group: str  # files of one group stay in the same split; "" is no group
    key: tuple[str, int, int]  # path, size and time of change, which identify the content

    @property
    def name(self) -> str:
        return printable(self.path)


def find_file(root: Path, path: str, label: int, split: str, group: str) -> File:
    """Return a file with its size and time of change, both -1 if it cannot be read."""
    num_bytes = changed_ns = -1
    with suppress(OSError):  # decoding reports the reason
        status = os.stat(os.path.join(root, path))
        num_bytes = status.st_size
        changed_ns = max(status.st_mtime_ns, status.st_ctime_ns)  # `mv` and `cp -p` keep the mtime
    return File(path, label, split, group, (path, num_bytes, changed_ns))


@dataclass(frozen=True)
class FileTable:
    """All files of a data set, and what was found while listing and decoding them."""

    root: Path
    class_names: Sequence[str]
    files: Sequence[File]
    unusable: list[Unusable]  # folders that cannot be searched; decoding adds files
    warnings: list[str]


class PictureRows:
    """Rows of a memory-mapped array, read on access; all folds and seeds share one file.

    Shape:
        array: (M, S, S, 3) uint8; rows: (N,) indices into it, one per sample id.
    """

    def __init__(self, array: Pixels, rows: Labels) -> None:
        self.array, self.rows = array, rows
        self.shape = (len(rows), *array.shape[1:])

    def __getitem__(self, ids: Any) -> Any:
        return np.asarray(self.array[self.rows[ids]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:
        return np.asarray(self[:], dtype)


@dataclass(frozen=True)
class ImageSet:
    """The N decoded pictures of one split. The row of a picture is its sample id.

    Shape:
        images: (N, S, S, 3) uint8, RGB: an array or `PictureRows`;
        labels: (N,) int64 class indices.
    """

    images: Pixels
    labels: Labels
    names: list[str]  # (N,) "drawing 17", or a path below the root; `printable` shows it
    prints: bytes = b""  # hashes from `data.duplicates.prints_of`, to recognise the pictures

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, ids: Labels) -> "ImageSet":
        """Return some of the pictures."""
        return ImageSet(self.images[ids], self.labels[ids], [self.names[i] for i in ids])


@dataclass(frozen=True)
class Data:
    """Both splits of a data set. Training pictures are larger, for random crops."""

    train: ImageSet
    val: ImageSet
    class_names: list[str]
    fingerprint: str  # SHA-256 (hex) over the content and the label of every picture, in order
    unusable: list[Unusable] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # one sentence each
    summary: str = ""  # one line: pictures, classes, splits, unusable files, duplicates


def fingerprint(
    class_names: Sequence[str], rows: Mapping[str, tuple[Sequence[str], Sequence[int]]]
) -> str:
    """Return the hash of the class names and, per split, the hashes and labels of the pictures."""
    text = json.dumps([list(class_names), rows], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def printable(path: str) -> str:
    """Return a path as text for any terminal or JSON file."""
    if path.isascii() and path.isprintable():  # faster, for nearly all paths
        return path
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
