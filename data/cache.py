"""Every file decoded once, its pixels kept in one memory-mapped array for each (root, sizes).

    CACHE_DIR/<root>-<sizes>/index.jsonl   a header, then for each file what was found out
                             pixels-<id>   for each picture one row: its pixels at all sizes
                             lock          held while files are decoded

A file is taken for unchanged while its path, size and time of change are: so one new picture costs
one decoding, and a decoding that was killed goes on where it was. Rows are only ever added, and
they are on the disk before the lines that name them. When most rows are of no use any more, or the
decoder is another one, the cache starts anew.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from data.decode import DECODER, Facts, Inspection, UnusableImage
from data.decode_pool import Result, decode_in_order
from data.table import File, FileTable, Key

SECONDS_PER_COMMIT = 2.0  # of decoding: what a kill can cost

Verdict = Facts | UnusableImage
Found = dict[Key, tuple[Verdict, int]]  # for each file its verdict, and its row or -1
Rows = npt.NDArray[Any]  # (R,) of one (S, S, 3) uint8 field for each size, named "64"


def default_cache_dir() -> Path:
    """Return the user's cache folder: $XDG_CACHE_HOME/crossent, or ~/.cache/crossent."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossent"


def decode_table(
    table: FileTable, sizes: Sequence[int], use_cache: bool = True, cache_dir: Path | None = None
) -> tuple[Rows, Found, list[str]]:
    """Decode the files of a table to all sizes, except for those that the cache holds.

    Returns:
        the pixels, what was found out of each file, and a warning if the cache could not be used.
    """
    warnings = []
    if use_cache:
        try:
            return *_decode_with_cache(table, sizes, cache_dir or default_cache_dir()), []
        except (OSError, RuntimeError) as error:  # the latter: no home, or (filelock) no locks
            warnings.append(
                f"{cache_dir or 'the cache'}: decoded pictures cannot be kept ({error}), so each"
                " start decodes them anew: free some space, or set data.cache_dir"
            )
    pixels, found = np.empty(len(table.files), _row_type(sizes)), {}
    for row, (file, result) in enumerate(decode_files(table, table.files, sizes)):
        if isinstance(result, Inspection):
            pixels[row] = tuple(result.pixels)
        found[file.key] = verdict_of(result), row
    return pixels, found, warnings


def decode_files(
    table: FileTable, files: Sequence[File], sizes: Sequence[int], description: str = "decoding"
) -> Iterator[tuple[File, Result]]:
    """Yield what came of each file, in order, with a progress bar that only a terminal shows."""
    paths = (table.path(file) for file in files)
    results = zip(files, decode_in_order(paths, sizes), strict=True)
    return iter(tqdm(results, description, len(files), unit="img", disable=None))


def verdict_of(result: Result) -> Verdict:
    return result.facts if isinstance(result, Inspection) else result


def _row_type(sizes: Sequence[int]) -> np.dtype[Any]:
    return np.dtype([(str(size), np.uint8, (size, size, 3)) for size in sizes])


def _decode_with_cache(
    table: FileTable, sizes: Sequence[int], cache_dir: Path
) -> tuple[Rows, Found]:
    root = hashlib.sha256(bytes(table.root.resolve())).hexdigest()[:16]
    folder = cache_dir / "-".join([root, *map(str, sizes)])
    cache = _Cache.read(folder, sizes)
    if not all(file.key in cache.found for file in table.files):
        import filelock  # here, because a second start does without

        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "lock"):
            cache = _Cache.read(folder, sizes)  # another run may have filled it meanwhile
            num_used = sum(cache.found.get(file.key, (None, -1))[1] >= 0 for file in table.files)
            if cache.num_rows > 2 * num_used or not cache.found:
                cache = _Cache.start(folder, sizes)
            cache.add(table, [file for file in table.files if file.key not in cache.found])
    if not cache.num_rows:  # an empty file cannot be mapped
        return np.empty(0, _row_type(sizes)), cache.found
    pixels = np.memmap(folder / cache.pixels, _row_type(sizes), "r", shape=(cache.num_rows,))
    return pixels, cache.found


@dataclass
class _Cache:
    """The cache in one folder, as far as it is read or written."""

    folder: Path
    sizes: Sequence[int]
    pixels: str = ""  # name of a file
    num_rows: int = 0
    found: Found = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, sizes: Sequence[int]) -> "_Cache":
        """Read what is there: nothing, where that is damaged or of another decoder."""
        try:
            first, *lines = (folder / "index.jsonl").read_bytes().split(b"\n")
            header = json.loads(first)
            num_bytes = (folder / header["pixels"]).stat().st_size
        except (OSError, ValueError, KeyError, TypeError):
            return cls(folder, sizes)
        cache = cls(folder, sizes, header["pixels"], num_bytes // _row_type(sizes).itemsize)
        for line in lines:
            with suppress(ValueError, TypeError):  # a kill may have cut a line
                path, size, changed, row, *verdict = json.loads(line)
                facts = Facts(*verdict) if row >= 0 else UnusableImage(*verdict)
                cache.found[path, size, changed] = facts, row
        num_named = 1 + max((row for _, row in cache.found.values()), default=-1)
        is_whole = header.get("decoder") == DECODER and num_named <= cache.num_rows
        return cache if is_whole else cls(folder, sizes)

    @classmethod
    def start(cls, folder: Path, sizes: Sequence[int]) -> "_Cache":
        """Put an empty cache in the place of what is there. Runs that have it mapped keep it."""
        pixels = f"pixels-{uuid4().hex[:8]}"
        (folder / pixels).touch()
        (folder / "index.tmp").write_text(json.dumps({"decoder": DECODER, "pixels": pixels}))
        os.replace(folder / "index.tmp", folder / "index.jsonl")
        for old in folder.glob("pixels-*"):
            if old.name != pixels:
                old.unlink()
        return cls(folder, sizes, pixels)

    def add(self, table: FileTable, files: Sequence[File]) -> None:
        """Decode files and remember what came of them."""
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
                for file, result in decode_files(table, files, self.sizes):
                    row = -1
                    if isinstance(result, Inspection):
                        row, self.num_rows = self.num_rows, self.num_rows + 1
                        pixels.write(b"".join(image.tobytes() for image in result.pixels))
                    verdict = verdict_of(result)
                    self.found[file.key] = verdict, row
                    if verdict.sha256 is not None:  # or else it could not even be read this time
                        lines.append("\n" + _to_json(file, row, verdict))  # a kill may cut a line
                    if time.monotonic() - committed > SECONDS_PER_COMMIT:
                        commit()
                        committed = time.monotonic()
            finally:
                commit()


def _to_json(file: File, row: int, verdict: Verdict) -> str:
    if isinstance(verdict, UnusableImage):
        return json.dumps([*file.key, row, str(verdict), verdict.sha256])
    return json.dumps([*file.key, row, *astuple(verdict)])
