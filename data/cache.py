"""Decode every file once, and cache the pixels: one memory-mapped array per root and sizes.

    CACHE_DIR/<hash of root and decoder>-<sizes>/
        index.jsonl   a header, then one line per file: its facts, or why it cannot be used
        pixels-<id>   one row per picture: its pixels in all sizes
        lock          held while files are decoded

A file is decoded again if its path, size or time of change differ. So only new pictures are
decoded, and a killed run continues where it stopped. Rows are only appended, and are on the disk
before the lines that name them. The cache is replaced by an empty one once fewer than half of its
rows are in use. Each version of the decoder has its own folder.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from data.decode import DECODER, Facts, Inspection
from data.decode_pool import Result, decode_in_order
from data.images import File, FileTable, Key, UnusableImage

SECONDS_PER_COMMIT = 2.0  # a killed run loses at most this much decoding

Verdict = Facts | UnusableImage
Found = dict[Key, tuple[Verdict, int]]  # the verdict on each file, and its row or -1
Rows = npt.NDArray[Any]  # (R,) with a (S, S, 3) uint8 field per size, named "64"
Decode = Callable[[Sequence[File]], Iterator[tuple[File, Result]]]


@dataclass(frozen=True)
class Decoding:
    """The options of decoding."""

    cache_dir: str | Path | None = None  # None: `default_cache_dir()`
    num_workers: int | None = None  # processes; None: one per CPU


def default_cache_dir() -> Path:
    """Return the user's cache folder: $XDG_CACHE_HOME/crossent, or ~/.cache/crossent."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossent"


def decode_table(
    table: FileTable, sizes: Sequence[int], decoding: Decoding
) -> tuple[Rows, Found, list[str]]:
    """Decode the files of a table to all sizes, except for those in the cache.

    Returns:
        the pixels, the verdict on each file, and a warning if the cache cannot be used.
    """

    def decode(files: Sequence[File]) -> Iterator[tuple[File, Result]]:
        paths = (os.path.join(table.root, file.path) for file in files)
        results = decode_in_order(paths, sizes, num_workers=decoding.num_workers)
        bar = tqdm(results, "decoding", len(files), unit="img", disable=None)  # on a terminal
        return zip(files, bar, strict=True)

    sizes, cache_dir = list(dict.fromkeys(sizes)), decoding.cache_dir
    row_type = np.dtype([(str(size), np.uint8, (size, size, 3)) for size in sizes])
    try:
        key = hashlib.sha256(bytes(table.root.resolve()) + b"\0" + DECODER.encode()).hexdigest()
        name = "-".join([key[:16], *map(str, sizes)])
        cache = _Cache(Path(cache_dir or default_cache_dir()) / name, row_type)
        cache.fill(table.files, decode)
        return cache.rows(), cache.found, []
    except (OSError, RuntimeError) as error:  # RuntimeError: no home, or no locks (filelock)
        warning = (
            f"{cache_dir or 'the cache'}: decoded pictures cannot be cached ({error}),"
            " so each start decodes them again: free some space, or set data.cache_dir"
        )
    pixels, found = np.empty(len(table.files), row_type), {}
    for row, (file, result) in enumerate(decode(table.files)):
        if isinstance(result, Inspection):
            pixels[row] = tuple(result.pixels)
        found[file.key] = result.facts if isinstance(result, Inspection) else result, row
    return pixels, found, [warning]


@dataclass
class _Cache:
    """The contents of a cache folder, as last read or written."""

    folder: Path
    row_type: np.dtype[Any]
    pixels: str = ""  # name of the file of the pixels
    num_rows: int = 0
    found: Found = field(default_factory=dict)

    def read(self) -> None:
        """Read the folder; a damaged cache counts as empty."""
        self.pixels, self.num_rows, self.found = "", 0, {}
        try:
            first, *lines = (self.folder / "index.jsonl").read_bytes().split(b"\n")
            pixels = json.loads(first)["pixels"]
            num_rows = (self.folder / pixels).stat().st_size // self.row_type.itemsize
        except (OSError, ValueError, KeyError, TypeError):
            return
        found: Found = {}
        for line in lines:
            with suppress(ValueError, TypeError):  # a kill may have cut a line
                path, size, changed, row, *verdict = json.loads(line)
                facts = Facts(*verdict) if row >= 0 else UnusableImage(*verdict)
                found[path, size, changed] = facts, row
        if max((row for _, row in found.values()), default=-1) < num_rows:
            self.pixels, self.num_rows, self.found = pixels, num_rows, found

    def fill(self, files: Sequence[File], decode: Decode) -> None:
        """Read the cache, and decode the files that it lacks."""
        self.read()
        if all(file.key in self.found for file in files):
            return
        import filelock  # here, because most starts do not need it

        self.folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.folder / "lock"):
            self.read()  # another run may have filled it meanwhile
            num_used = sum(self.found.get(file.key, (None, -1))[1] >= 0 for file in files)
            if self.num_rows > 2 * num_used or not self.found:
                self._start()
            self._add(decode([file for file in files if file.key not in self.found]))

    def rows(self) -> Rows:
        if not self.num_rows:  # an empty file cannot be mapped
            return np.empty(0, self.row_type)
        return np.memmap(self.folder / self.pixels, self.row_type, "r", shape=(self.num_rows,))

    def _start(self) -> None:
        """Replace the cache by an empty one. Runs that have mapped the old file keep its pixels."""
        self.pixels, self.num_rows, self.found = f"pixels-{uuid4().hex[:8]}", 0, {}
        (self.folder / self.pixels).touch()
        (self.folder / "index.tmp").write_text(json.dumps({"pixels": self.pixels}))
        os.replace(self.folder / "index.tmp", self.folder / "index.jsonl")
        for old in self.folder.glob("pixels-*"):
            if old.name != self.pixels:
                old.unlink()

    def _add(self, decoded: Iterable[tuple[File, Result]]) -> None:
        """Append the verdicts and pixels of more files."""
        lines: list[str] = []
        with (
            open(self.folder / self.pixels, "r+b") as pixels,
            open(self.folder / "index.jsonl", "a") as index,
        ):
            # a kill may have left half a row at the end
            pixels.seek(self.num_rows * self.row_type.itemsize)

            def commit() -> None:
                pixels.flush()
                os.fsync(pixels.fileno())
                index.write("".join(lines))
                index.flush()
                lines.clear()

            committed = time.monotonic()
            try:
                for file, result in decoded:
                    if isinstance(result, Inspection):
                        self.found[file.key] = result.facts, self.num_rows
                        words = [self.num_rows, *astuple(result.facts)]
                        self.num_rows += 1
                        pixels.write(b"".join(image.tobytes() for image in result.pixels))
                    else:
                        self.found[file.key] = result, -1
                        words = [-1, str(result)]
                    if not str(words[1]).startswith("unreadable"):  # could change without the key
                        # the line break comes first, because a kill may have cut the last line
                        lines.append("\n" + json.dumps([*file.key, *words]))
                    if time.monotonic() - committed > SECONDS_PER_COMMIT:
                        commit()
                        committed = time.monotonic()
            finally:
                commit()
