"""Pictures decoded once and kept as memory-mapped files, one for each split.

    CACHE_DIR/<key>/train.npy  val.npy         (N, S, S, 3) uint8, read through mmap
                    rows.json                  for each split the content hash and label of each row
                    entry.json                 sizes and checksums; written last
    CACHE_DIR/seen/<root>.jsonl                see `data.seen`

The key is a hash of the content of all files, their classes, the decoder and its parameters: an
entry is never out of date. It is built in a folder beside it and renamed when it is whole, so two
runs may build it at once and a kill in the middle leaves nothing but a folder to be swept.
"""

import json
import os
import shutil
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from data.files import sync_folder, told_as_the_users, write_durably

BLOCK_BYTES = 4 * 2**20  # of a checksum
MAX_BLOCKS_CHECKED = 64  # of a file when it is opened: all of 256 MB, a sample of more
_ABANDONED_S = 86_400  # a half-built entry this old has no builder any more

Pixels = npt.NDArray[np.uint8]


class DamagedCache(ValueError):
    """An entry that does not hold what was written."""


@dataclass(frozen=True)
class CachedSplit:
    """The rows of one split: pixels, and which file and class each came from."""

    images: Pixels  # (N, S, S, 3)
    sha256s: list[str]
    labels: list[int]


@dataclass(frozen=True)
class CacheEntry:
    """What is kept of one data set."""

    splits: dict[str, CachedSplit]
    notes: dict[str, Any]  # JSON of the builder's own


@dataclass(frozen=True)
class CacheInfo:
    """One line of the list of what is kept."""

    path: Path
    num_bytes: int
    last_used: float  # seconds since 1970
    root: str


class Spool:
    """Pictures on the way from the decoders to their rows, whose order is known only at the end.

    A file without a name: it is gone when the process is, however that ends.

    Args:
        folder: where the temporary file lies; None keeps the pictures in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._places: dict[tuple[int, int], int] = {}
        self._kept: list[Pixels] = []
        self._folder = folder
        self._descriptor: int | None = None  # opened when there is something to keep
        self._end = 0

    def put(self, index: int, pixels: Pixels) -> None:
        """Keeps the picture of one file at one size."""
        key = (index, len(pixels))
        if self._folder is None:
            self._places[key] = len(self._kept)
            self._kept.append(pixels)
            return
        with told_as_the_users(self._folder):
            if self._descriptor is None:
                self._descriptor = _nameless_file(self._folder)
            _write_all(self._descriptor, pixels.tobytes(), self._end)
        self._places[key] = self._end
        self._end += pixels.nbytes

    def get(self, index: int, size: int) -> Pixels:
        """(size, size, 3) of one file."""
        place = self._places[index, size]
        if self._descriptor is None:
            return self._kept[place]
        content = os.pread(self._descriptor, 3 * size * size, place)
        return np.frombuffer(content, np.uint8).reshape(size, size, 3)

    def close(self) -> None:
        """Gives the space back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _nameless_file(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".building-spool-{uuid4().hex}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    path.unlink()
    return descriptor


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        num_written = os.pwrite(descriptor, view, offset)
        view, offset = view[num_written:], offset + num_written


def open_entry(cache_dir: Path, key: str) -> CacheEntry | None:
    """The entry of that key, checked; None where there is none.

    Raises:
        DamagedCache: sizes, headers or checksums are not those that were written.
    """
    folder = cache_dir / key
    if not folder.is_dir():
        return None
    try:
        entry = json.loads((folder / "entry.json").read_bytes())
        rows_json = (folder / "rows.json").read_bytes()
        if zlib.crc32(rows_json) != entry["rows_crc32"]:
            raise DamagedCache(f"{folder}/rows.json: its checksum does not match")
        rows = json.loads(rows_json)
        splits = {
            name: CachedSplit(_open_images(folder / f"{name}.npy", facts), **rows[name])
            for name, facts in entry["images"].items()
        }
        with suppress(OSError):  # not ours to write, as in a cache that colleagues share
            os.utime(folder / "entry.json")  # when it was used last
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedCache(f"{folder}: damaged ({error})") from error
    return CacheEntry(splits, entry["notes"])


def _open_images(path: Path, facts: dict[str, Any]) -> Pixels:
    if path.stat().st_size != facts["num_bytes"]:
        raise DamagedCache(f"{path.name} has {path.stat().st_size} bytes, not {facts['num_bytes']}")
    crc32s = facts["crc32s"]
    step = max(1, -(-len(crc32s) // MAX_BLOCKS_CHECKED))
    with open(path, "rb", buffering=0) as file:
        for block in {*range(0, len(crc32s), step), len(crc32s) - 1}:
            file.seek(block * BLOCK_BYTES)
            if zlib.crc32(file.read(BLOCK_BYTES)) != crc32s[block]:
                raise DamagedCache(f"a checksum of {path.name} does not match")
    images = np.load(path, mmap_mode="r" if facts["shape"][0] else None)
    if list(images.shape) != facts["shape"] or images.dtype != np.uint8:
        raise DamagedCache(f"{path.name} has shape {images.shape}, not {facts['shape']}")
    return images  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Rows:
    """What to write for one split: which pictures of the spool, in which order."""

    indices: Sequence[int]
    sha256s: list[str]
    labels: list[int]
    size: int


def build_entry(
    cache_dir: Path, key: str, spool: Spool, rows: dict[str, Rows], notes: dict[str, Any]
) -> None:
    """Writes an entry beside its place and renames it into it."""
    with told_as_the_users(cache_dir):
        temporary = cache_dir / f".building-{key[:16]}-{uuid4().hex}"
        temporary.mkdir(parents=True)
        try:
            _write_entry(temporary, spool, rows, notes)
            _move_into_place(temporary, cache_dir / key)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_folder(cache_dir)


def _write_entry(folder: Path, spool: Spool, rows: dict[str, Rows], notes: dict[str, Any]) -> None:
    images = {name: _write_images(folder / f"{name}.npy", spool, r) for name, r in rows.items()}
    rows_json = json.dumps(
        {name: {"sha256s": r.sha256s, "labels": r.labels} for name, r in rows.items()}
    ).encode()
    write_durably(folder / "rows.json", rows_json)
    entry = {"images": images, "rows_crc32": zlib.crc32(rows_json), "notes": notes}
    write_durably(folder / "entry.json", json.dumps(entry).encode())
    sync_folder(folder)


def _write_images(path: Path, spool: Spool, rows: Rows) -> dict[str, Any]:
    shape = (len(rows.indices), rows.size, rows.size, 3)
    with open(path, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for index in rows.indices:
            file.write(spool.get(index, rows.size).data)
        file.flush()
        os.fsync(file.fileno())
    crc32s = [zlib.crc32(block) for block in _blocks(path)]
    return {"shape": shape, "num_bytes": path.stat().st_size, "crc32s": crc32s}


def _blocks(path: Path) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _move_into_place(temporary: Path, place: Path) -> None:
    try:
        os.replace(temporary, place)
    except OSError:
        if not (place / "entry.json").exists():
            raise
        # Another run was faster; what it wrote is the same.


def remove_entry(path: Path) -> None:
    """Removes an entry. Runs that have it open keep reading it: the system keeps their mapping."""
    with told_as_the_users(path.parent):
        doomed = path.with_name(f".building-doomed-{uuid4().hex}")
        os.replace(path, doomed)  # in one step, so that nobody opens half of it
        shutil.rmtree(doomed)


def list_entries(cache_dir: Path) -> list[CacheInfo]:
    """What is kept, the least recently used first."""
    infos = []
    for marker in cache_dir.glob("*/entry.json"):
        if marker.parent.name.startswith("."):
            continue
        num_bytes = sum(file.stat().st_size for file in marker.parent.iterdir())
        infos.append(CacheInfo(marker.parent, num_bytes, marker.stat().st_mtime, _root(marker)))
    return sorted(infos, key=lambda info: info.last_used)


def _root(marker: Path) -> str:
    try:
        return str(json.loads(marker.read_bytes())["notes"]["root"])
    except (ValueError, KeyError, TypeError):
        return "(damaged)"


def sweep(cache_dir: Path) -> None:
    """Removes what killed runs left half built."""
    for folder in cache_dir.glob(".building-*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
