"""The list of files that every way of naming pictures comes down to."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.images import Unusable

Key = tuple[str, int, int]  # path, size and time of change: equal as long as the content is


@dataclass(frozen=True, slots=True)
class File:
    """A file that should be a picture."""

    path: str  # below the root; may hold bytes that are not UTF-8, as names on a disk do
    label: int  # an index into the class names
    split: str = ""  # "train" or "val"; "" where the split is still to be drawn
    group: str = ""  # files of one group stay on one side of the split; "" is no group
    num_bytes: int = -1  # -1 where not even this could be read
    changed_ns: int = -1  # mtime or ctime, the later one: `mv` and `cp -p` keep the mtime

    @property
    def name(self) -> str:
        return printable(self.path)

    @property
    def key(self) -> Key:
        return self.path, self.num_bytes, self.changed_ns


@dataclass(frozen=True)
class FileTable:
    """All files of a data set, before any of them is opened."""

    root: Path
    class_names: Sequence[str]
    files: Sequence[File]
    unusable: Sequence[Unusable] = ()  # folders and links of no use
    warnings: list[str] = field(default_factory=list)


def printable(path: str) -> str:
    """Return a path as text that any terminal and any JSON file takes."""
    if path.isascii() and path.isprintable():  # nearly all, and there may be a million
        return path
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
