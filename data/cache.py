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
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from data.decode import DECODER, Facts, Inspection
from data.decode_pool import Result, decode_in_order
from data.images import File, FileTable, UnusableImage

SECONDS_PER_COMMIT = 2.0  # a killed run loses at most this much decoding

# By the key of a file: its facts, or why it cannot be used; and its row or -1.
Found = dict[tuple[str, int, int], tuple[Facts | UnusableImage, int]]
Rows = npt.NDArray[Any]  # (R,) with a (S, S, 3) uint8 field per size, named "64"
Decoded = Iterator[tuple[File, Result]]


@dataclass(frozen=True)
class Decoding:
    """The options of decoding."""

    cache_dir: str | Path | None = None  # None: `default_cache_dir()`
    num_workers: int | None = None  # processes; None: one per CPU


def default_cache_dir() -> Path:
    """Return the user's cache folder: $XDG_CACHE_HOME/crossent, or ~/.cache/crossent."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossent"


def decode_table(table: FileTable, sizes: Sequence[int], decoding: Decoding) -> tuple[Rows, Found]:
    """Decode the files of a table to all sizes, except for those in the cache.

    The table gets a warning if the cache cannot be used.
    """

    def decode(files: Sequence[File]) -> Decoded:
        paths = (os.path.join(table.root, file.path) for file in files)
        results = decode_in_order(paths, sizes, num_workers=decoding.num_workers)
        bar = tqdm(results, "decoding", len(files), unit="img", disable=None)  # on a terminal
        return zip(files, bar, strict=True)

    sizes, cache_dir = list(dict.fromkeys(sizes)), decoding.cache_dir
    row_type = np.dtype([(str(size), np.uint8, (size, size, 3)) for size in sizes])
    try:
        key = hashlib.sha256(bytes(table.root.resolve()) + b"\0" + DECODER.encode()).hexdigest()
        name = "-".join([key[:16], *map(str, sizes)])
        folder = Path(cache_dir or default_cache_dir()) / name
        return _read_or_fill(folder, row_type, table.files, decode)
    except (OSError, RuntimeError) as error:  # RuntimeError: no home, or no locks (filelock)
        table.warnings.append(
            f"{cache_dir or 'the cache'}: decoded pictures cannot be cached ({error}),"
            " so each start decodes them again: free some space, or set data.cache_dir"
        )
    pixels, found = np.empty(len(table.files), row_type), {}
    for row, (file, result) in enumerate(decode(table.files)):
        if isinstance(result, Inspection):
            pixels[row] = tuple(result.pixels)
        found[file.key] = result.facts if isinstance(result, Inspection) else result, row
    return pixels, found


def _read_or_fill(
    folder: Path,
    row_type: np.dtype[Any],
    files: Sequence[File],
    decode: Callable[[Sequence[File]], Decoded],
) -> tuple[Rows, Found]:
    """Read the cache; decode the files that it lacks, and append them."""
    pixels, num_rows, found = _read(folder, row_type)
    if not all(file.key in found for file in files):
        import filelock  # here, because most starts do not need it

        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "lock"):
            pixels, num_rows, found = _read(folder, row_type)  # another run may have filled it
            num_used = sum(found.get(file.key, (None, -1))[1] >= 0 for file in files)
            if num_rows > 2 * num_used or not found:  # runs that have mapped the old file keep it
                pixels, num_rows, found = folder / f"pixels-{uuid4().hex[:8]}", 0, {}
                pixels.touch()
                (folder / "index.tmp").write_text(json.dumps({"pixels": pixels.name}))
                os.replace(folder / "index.tmp", folder / "index.jsonl")
                for old in {*folder.glob("pixels-*")} - {pixels}:
                    old.unlink()
            missing = [file for file in files if file.key not in found]
            with open(pixels, "r+b") as rows, open(folder / "index.jsonl", "a") as index:
                rows.seek(num_rows * row_type.itemsize)  # a kill may have left half a row
                num_rows = _append(rows, index, num_rows, found, decode(missing))
    if not num_rows:  # an empty file cannot be mapped
        return np.empty(0, row_type), found
    return np.memmap(pixels, row_type, "r", shape=(num_rows,)), found


def _read(folder: Path, row_type: np.dtype[Any]) -> tuple[Path, int, Found]:
    """Return the file of the pixels, its rows, and the verdicts; a damaged cache is empty."""
    found: Found = {}
    try:
        first, *lines = (folder / "index.jsonl").read_bytes().split(b"\n")
        pixels = folder / json.loads(first)["pixels"]
        num_rows = pixels.stat().st_size // row_type.itemsize
    except (OSError, ValueError, KeyError, TypeError):
        return folder, 0, {}
    for line in lines:
        with suppress(ValueError, TypeError):  # a kill may have cut a line
            path, size, changed, row, *verdict = json.loads(line)
            facts = Facts(*verdict) if row >= 0 else UnusableImage(*verdict)
            found[path, size, changed] = facts, row
    if max((row for _, row in found.values()), default=-1) >= num_rows:
        return folder, 0, {}
    return pixels, num_rows, found


def _append(rows: BinaryIO, index: TextIO, num_rows: int, found: Found, decoded: Decoded) -> int:
    """Append verdicts and pixels, also to `found`; return the new number of rows."""
    lines: list[str] = []

    def commit() -> float:
        rows.flush()
        os.fsync(rows.fileno())
        index.write("".join(lines))
        index.flush()
        lines.clear()
        return time.monotonic()

    committed_s = time.monotonic()
    try:
        for file, result in decoded:
            if isinstance(result, Inspection):
                found[file.key] = result.facts, num_rows
                words = [num_rows, *astuple(result.facts)]
                rows.write(b"".join(image.tobytes() for image in result.pixels))
                num_rows += 1
            else:
                found[file.key] = result, -1
                words = [-1, str(result)]
            if not str(words[1]).startswith("unreadable"):  # could change without the key
                # the line break comes first, because a kill may have cut the last line
                lines.append("\n" + json.dumps([*file.key, *words]))
            if time.monotonic() - committed_s > SECONDS_PER_COMMIT:
                committed_s = commit()
    finally:
        commit()
    return num_rows
