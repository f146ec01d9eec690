"""Every file decoded once, its pixels kept in one memory-mapped array for each (root, sizes).

    CACHE_DIR/<hash of root and decoder>-<sizes>/
        index.jsonl   a header, then one line per file: what was found out about it
        pixels-<id>   one row per picture: its pixels at all sizes
        lock          held while files are decoded

A file counts as unchanged while its path, size and time of change are: so one new picture costs
one decoding, and a decoding that was killed goes on where it was. Rows are only ever added, and
they are on the disk before the lines that name them. Once fewer than half of the rows are in use,
the cache starts anew. Versions of the decoder do not share a folder, nor remove each other's.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
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
from data.images import File, FileTable, Key, UnreadableFile, UnusableImage

SECONDS_PER_COMMIT = 2.0  # of decoding: what a kill can cost

Verdict = Facts | UnusableImage
Found = dict[Key, tuple[Verdict, int]]  # for each file its verdict, and its row or -1
Rows = npt.NDArray[Any]  # (R,) of one (S, S, 3) uint8 field for each size, named "64"


@dataclass(frozen=True)
class Decoding:
    """How files become pixels."""

    use_cache: bool = True  # False decodes into memory and writes nothing
    cache_dir: str | Path | None = None  # None: `default_cache_dir()`
    num_workers: int | None = None  # processes that decode; None: one per CPU


def default_cache_dir() -> Path:
    """Return the user's cache folder: $XDG_CACHE_HOME/crossent, or ~/.cache/crossent."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossent"


def decode_table(
    table: FileTable, sizes: Sequence[int], decoding: Decoding
) -> tuple[Rows, Found, list[str]]:
    """Decode the files of a table to all sizes, except for those that the cache holds.

    Returns:
        the pixels, what was found out about each file, and a warning if the cache is of no use.
    """
    warnings, cache = [], _Cache(Path(os.devnull), sizes)
    if decoding.use_cache:
        try:
            cache.folder = _cache_folder(table.root, sizes, decoding.cache_dir)
            _fill(cache, table, decoding.num_workers)
        except (OSError, RuntimeError) as error:  # the latter: no home, or (filelock) no locks
            warnings.append(
                f"{decoding.cache_dir or 'the cache'}: decoded pictures cannot be kept ({error}),"
                " so each start decodes them anew: free some space, or set data.cache_dir"
            )
            cache.read()  # only what is on the disk for certain
    missing = [file for file in table.files if file.key not in cache.found]
    if not missing:
        return cache.rows(), cache.found, warnings
    kept = cache.rows()
    pixels = np.empty(len(kept) + len(missing), _row_type(sizes))
    pixels[: len(kept)] = kept
    decoded = _decode(table, missing, sizes, decoding.num_workers)
    for row, (file, result) in enumerate(decoded, len(kept)):
        if isinstance(result, Inspection):
            pixels[row] = tuple(result.pixels)
        cache.found[file.key] = _verdict(result), row
    return pixels, cache.found, warnings


def _decode(
    table: FileTable, files: Sequence[File], sizes: Sequence[int], num_workers: int | None
) -> Iterator[tuple[File, Result]]:
    """Yield each file and its result, in order, with a progress bar that only a terminal shows."""
    paths = (os.path.join(table.root, file.path) for file in files)
    results = zip(files, decode_in_order(paths, sizes, num_workers=num_workers), strict=True)
    return iter(tqdm(results, "decoding", len(files), unit="img", disable=None))


def _verdict(result: Result) -> Verdict:
    return result.facts if isinstance(result, Inspection) else result


def _row_type(sizes: Sequence[int]) -> np.dtype[Any]:
    return np.dtype([(str(size), np.uint8, (size, size, 3)) for size in sizes])


def _cache_folder(root: Path, sizes: Sequence[int], cache_dir: str | Path | None) -> Path:
    key = hashlib.sha256(bytes(root.resolve()) + b"\0" + DECODER.encode()).hexdigest()[:16]
    return Path(cache_dir or default_cache_dir()) / "-".join([key, *map(str, sizes)])


def _fill(cache: "_Cache", table: FileTable, num_workers: int | None) -> None:
    """Read the cache, and decode what it lacks."""
    cache.read()
    if all(file.key in cache.found for file in table.files):
        return
    import filelock  # here, because a second start does without

    cache.folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(cache.folder / "lock"):
        cache.read()  # another run may have filled it meanwhile
        num_used = sum(cache.found.get(file.key, (None, -1))[1] >= 0 for file in table.files)
        if cache.num_rows > 2 * num_used or not cache.found:
            cache.start()
        missing = [file for file in table.files if file.key not in cache.found]
        cache.add(_decode(table, missing, cache.sizes, num_workers))


@dataclass
class _Cache:
    """The cache in one folder, as far as it has been read or written."""

    folder: Path
    sizes: Sequence[int]
    pixels: str = ""  # name of a file
    num_rows: int = 0
    found: Found = field(default_factory=dict)

    def read(self) -> None:
        """Read what is there; it counts as empty if it is damaged."""
        self.pixels, self.num_rows, self.found = "", 0, {}
        try:
            first, *lines = (self.folder / "index.jsonl").read_bytes().split(b"\n")
            pixels = json.loads(first)["pixels"]
            num_bytes = (self.folder / pixels).stat().st_size
        except (OSError, ValueError, KeyError, TypeError):
            return
        found: Found = {}
        for line in lines:
            with suppress(ValueError, TypeError):  # a kill may have cut a line
                path, size, changed, row, *verdict = json.loads(line)
                facts = Facts(*verdict) if row >= 0 else UnusableImage(*verdict)
                found[path, size, changed] = facts, row
        num_rows = num_bytes // _row_type(self.sizes).itemsize
        if max((row for _, row in found.values()), default=-1) < num_rows:
            self.pixels, self.num_rows, self.found = pixels, num_rows, found

    def start(self) -> None:
        """Put an empty cache in the place of what is there. Runs that have it mapped keep it."""
        self.pixels, self.num_rows, self.found = f"pixels-{uuid4().hex[:8]}", 0, {}
        (self.folder / self.pixels).touch()
        (self.folder / "index.tmp").write_text(json.dumps({"pixels": self.pixels}))
        os.replace(self.folder / "index.tmp", self.folder / "index.jsonl")
        for old in self.folder.glob("pixels-*"):
            if old.name != self.pixels:
                old.unlink()

    def rows(self) -> Rows:
        if not self.num_rows:  # an empty file cannot be mapped
            return np.empty(0, _row_type(self.sizes))
        path = self.folder / self.pixels
        return np.memmap(path, _row_type(self.sizes), "r", shape=(self.num_rows,))

    def add(self, results: Iterable[tuple[File, Result]]) -> None:
        """Remember the results of decoding."""
        lines: list[str] = []
        with (
            open(self.folder / self.pixels, "r+b") as pixels,
            open(self.folder / "index.jsonl", "a") as index,
        ):
            pixels.seek(self.num_rows * _row_type(self.sizes).itemsize)  # over half a row of a kill

            def commit() -> None:
                pixels.flush()
                os.fsync(pixels.fileno())
                index.write("".join(lines))
                index.flush()
                lines.clear()

            try:
                committed = time.monotonic()
                for file, result in results:
                    row, words = -1, [str(result)]
                    if isinstance(result, Inspection):
                        row, self.num_rows = self.num_rows, self.num_rows + 1
                        pixels.write(b"".join(image.tobytes() for image in result.pixels))
                        words = list(astuple(result.facts))
                    self.found[file.key] = _verdict(result), row
                    if not isinstance(result, UnreadableFile):
                        # the line break comes first, because a kill may have cut the last line
                        lines.append("\n" + json.dumps([*file.key, row, *words]))
                    if time.monotonic() - committed > SECONDS_PER_COMMIT:
                        commit()
                        committed = time.monotonic()
            finally:
                commit()
