"""Every file decoded once, its pixels kept in one memory-mapped array for each (root, sizes).

    CACHE_DIR/<root>-<sizes>/index.jsonl   a header, then for each file what was found out
                             pixels-<id>   for each picture one row: its pixels at all sizes
                             duplicates-<id>.npy, and a lock, held while files are decoded

A file is taken for unchanged while its path, size and mtime are: so one new picture costs one
decoding, and a decoding that was killed goes on where it was. Rows are only ever added, and they
are on the disk before the lines that name them. When most rows are of no use any more, or the
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
from data.decode_pool import Job, Result, decode_in_order
from data.duplicates import Pairs, duplicate_pairs
from data.table import File, FileTable, Key, printable

SECONDS_PER_COMMIT = 2.0  # of decoding: what a kill can cost
SETTLED_NS = 2_000_000_000  # coarse clocks of file systems tick once in two seconds (FAT)

Verdict = Facts | UnusableImage
Found = dict[Key, tuple[Verdict, int]]  # for each file its verdict, and its row or -1


@dataclass
class Decoded:
    """What is known of each file, by its key, and the pixels of those that can be used."""

    pixels: npt.NDArray[Any]  # (R,) rows of one (S, S, 3) uint8 field for each size, named "64"
    found: Found
    folder: Path | None = None  # of the cache, if there is one


def default_cache_dir() -> Path:
    """Return the user's cache folder: $XDG_CACHE_HOME/crossent, or ~/.cache/crossent."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crossent"
    except RuntimeError:
        raise FileNotFoundError(2, "this user has no home folder", "~/.cache") from None


def decode_table(
    table: FileTable, sizes: Sequence[int], use_cache: bool = True, cache_dir: Path | None = None
) -> tuple[Decoded, list[str]]:
    """Decode the files of a table, except for those that the cache holds.

    Args:
        table: the files.
        sizes: sides in pixels; every file is decoded to all of them.
        use_cache: False keeps the pixels in memory.
        cache_dir: of all caches; `default_cache_dir()` by default.

    Returns:
        what was found, and a warning if the cache could not be used.
    """
    if not use_cache:
        return _decode_in_memory(table, sizes), []
    try:
        return _decode_with_cache(table, sizes, cache_dir or default_cache_dir()), []
    except (OSError, NotImplementedError) as error:  # the latter from filelock: no locks there
        where = cache_dir or getattr(error, "filename", None)
        reason = getattr(error, "strerror", None) or error
        warning = (
            f"{where}: decoded pictures cannot be kept ({reason}), so each start decodes them"
            " again: free some space, or set data.cache_dir to another folder"
        )
        return _decode_in_memory(table, sizes), [warning]


def decode_files(
    table: FileTable, files: Sequence[File], sizes: Sequence[int], description: str = "decoding"
) -> Iterator[tuple[File, Result]]:
    """Yield what came of each file, in order, with a progress bar that only a terminal shows."""
    jobs = (Job(table.path(file), tuple(sizes)) for file in files)
    results = zip(files, decode_in_order(jobs), strict=True)
    return iter(tqdm(results, description, len(files), unit="img", disable=None))


def verdict_of(result: Result) -> Verdict:
    """Drop the pixels."""
    return result.facts if isinstance(result, Inspection) else result


def row_type(sizes: Sequence[int]) -> np.dtype[Any]:
    """Return the type of a picture's row: its pixels at each size."""
    return np.dtype([(str(size), np.uint8, (size, size, 3)) for size in sizes])


def _decode_in_memory(table: FileTable, sizes: Sequence[int]) -> Decoded:
    decoded = Decoded(np.empty(len(table.files), row_type(sizes)), {})
    for row, (file, result) in enumerate(decode_files(table, table.files, sizes)):
        if isinstance(result, Inspection):
            decoded.pixels[row] = tuple(result.pixels)
        decoded.found[file.key] = verdict_of(result), row
    return decoded


def _decode_with_cache(table: FileTable, sizes: Sequence[int], cache_dir: Path) -> Decoded:
    root = hashlib.sha256(bytes(table.root.resolve())).hexdigest()[:16]
    folder = cache_dir / "-".join([root, *map(str, sizes)])
    cache = _Cache.read(folder, sizes)
    if not all(file.key in cache.found for file in table.files):
        import filelock  # here, because a second start does without

        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "lock"):
            cache = _Cache.read(folder, sizes)  # again: another run may have filled it meanwhile
            num_used = sum(cache.found.get(file.key, (None, -1))[1] >= 0 for file in table.files)
            if cache.num_rows > 2 * num_used or not cache.found:
                cache = _Cache.start(folder, sizes, table.root)
            cache.add(table, [file for file in table.files if file.key not in cache.found])
    return Decoded(cache.map_pixels(), cache.found, folder)


def remembered_pairs(folder: Path | None, sha256s: Sequence[str], hashes: Sequence[int]) -> Pairs:
    """Find the duplicates, or read them if the last run on this cache had the same pictures."""
    if folder is None:
        return duplicate_pairs(sha256s, hashes)
    key = hashlib.sha256("".join([DECODER, *sha256s]).encode()).hexdigest()[:16]
    path = folder / f"duplicates-{key}.npy"
    with suppress(OSError, ValueError, EOFError):
        return np.load(path)  # type: ignore[no-any-return]
    pairs = duplicate_pairs(sha256s, hashes)
    with suppress(OSError):  # costs speed only: seconds for hundreds of thousands of pictures
        for old in folder.glob("duplicates-*"):
            old.unlink()
        np.save(folder / f"duplicates-{os.getpid()}.npy", pairs)
        os.replace(folder / f"duplicates-{os.getpid()}.npy", path)
    return pairs


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
        cache = cls(folder, sizes, header["pixels"], num_bytes // row_type(sizes).itemsize)
        for line in lines:
            with suppress(ValueError, TypeError):  # a kill may have cut a line
                path, size, mtime, row, verdict = json.loads(line)
                cache.found[path, size, mtime] = _verdict_from_json(verdict), row
        num_named = 1 + max((row for _, row in cache.found.values()), default=-1)
        is_whole = header.get("decoder") == DECODER and num_named <= cache.num_rows
        return cache if is_whole else cls(folder, sizes)

    @classmethod
    def start(cls, folder: Path, sizes: Sequence[int], root: Path) -> "_Cache":
        """Put an empty cache in the place of what is there. Runs that have it mapped keep it."""
        pixels = f"pixels-{uuid4().hex[:8]}"
        (folder / pixels).touch()
        header = {"decoder": DECODER, "pixels": pixels, "root": printable(str(root))}
        (folder / "index.tmp").write_text(json.dumps(header))
        os.replace(folder / "index.tmp", folder / "index.jsonl")
        for old in folder.glob("pixels-*"):
            if old.name != pixels:
                old.unlink()
        return cls(folder, sizes, pixels)

    def add(self, table: FileTable, files: Sequence[File]) -> None:
        """Decode files and remember what came of them."""
        row_bytes = row_type(self.sizes).itemsize
        settled_ns = time.time_ns() - SETTLED_NS  # a younger file can change without its mtime
        with (
            open(self.folder / self.pixels, "r+b") as pixels,
            open(self.folder / "index.jsonl", "a") as index,
        ):
            pixels.seek(self.num_rows * row_bytes)  # over half a row that a kill has left
            lines: list[str] = []

            def commit() -> None:
                pixels.flush()
                os.fsync(pixels.fileno())
                index.write(
                    "".join(f"\n{line}" for line in lines)
                )  # "\n" first: a kill may cut a line
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
                    if verdict.sha256 is not None and file.mtime_ns < settled_ns:
                        lines.append(_line(file, row, verdict))
                    if time.monotonic() - committed > SECONDS_PER_COMMIT:
                        commit()
                        committed = time.monotonic()
            finally:
                commit()

    def map_pixels(self) -> npt.NDArray[Any]:
        if not self.num_rows:  # an empty file cannot be mapped
            return np.empty(0, row_type(self.sizes))
        path = self.folder / self.pixels
        return np.memmap(path, row_type(self.sizes), "r", shape=(self.num_rows,))


def _line(file: File, row: int, verdict: Verdict) -> str:
    if isinstance(verdict, UnusableImage):
        return json.dumps([*file.key, row, [verdict.sha256, str(verdict)]])
    return json.dumps([*file.key, row, astuple(verdict)])


def _verdict_from_json(values: list[Any]) -> Verdict:
    if len(values) == 2:
        sha256, reason = values
        return UnusableImage(reason, sha256)
    sha256, difference_hash, width, height, odd = values
    return Facts(sha256, difference_hash, width, height, tuple(odd))
