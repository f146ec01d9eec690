"""What was found out about files before, so that a second start opens none of them.

A file is taken for unchanged while its size, both its times and its inode are. A file that was
changed less than two seconds before it was read is not remembered: it could change again without
its times showing it.
"""

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.decode import DECODER, Facts, UnusableImage
from data.files import replace_file, told_as_the_users
from data.listing import Entry, Stamp

SETTLED_NS = 2_000_000_000  # coarse clocks of file systems tick once in two seconds (FAT)

Verdict = Facts | UnusableImage


def load_seen(cache_dir: Path, root: Path) -> dict[tuple[str, Stamp], Verdict]:
    """Verdicts by (path, stamp); none where the memory is missing or damaged: files are read."""
    try:
        header, _, body = _path(cache_dir, root).read_bytes().partition(b"\n")
        if json.loads(header) != {"decoder": DECODER, "crc32": zlib.crc32(body)}:
            return {}
    except (OSError, ValueError):
        return {}
    seen = {}
    for line in body.splitlines():
        path, stamp, verdict = json.loads(line)
        seen[path, tuple(stamp)] = _from_json(verdict)
    return seen


def save_seen(
    cache_dir: Path,
    root: Path,
    entries: Sequence[Entry],
    verdicts: Mapping[int, Verdict],
    read_ns: int,
) -> None:
    """Remembers what was found out.

    Args:
        cache_dir, root: as in `load_seen`.
        entries: the files.
        verdicts: by index into `entries`.
        read_ns: when the listing was made, on time.time_ns(): before any file was read.
    """
    lines = []
    for index, verdict in verdicts.items():
        path, stamp = entries[index].path, entries[index].stamp
        by_content = isinstance(verdict, Facts) or verdict.sha256 is not None
        if stamp and by_content and max(stamp[1], stamp[2]) < read_ns - SETTLED_NS:
            lines.append(json.dumps([path, stamp, _to_json(verdict)]))
    body = "\n".join(lines).encode()
    header = json.dumps({"decoder": DECODER, "crc32": zlib.crc32(body)}).encode()
    path_of_memory = _path(cache_dir, root)
    with told_as_the_users(cache_dir):
        path_of_memory.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path_of_memory, header + b"\n" + body)


def _path(cache_dir: Path, root: Path) -> Path:
    name = hashlib.sha256(bytes(root.resolve())).hexdigest()[:32]
    return cache_dir / "seen" / f"{name}.jsonl"


def _to_json(verdict: Verdict) -> list[object]:
    if isinstance(verdict, UnusableImage):
        return [verdict.sha256, str(verdict)]
    return list(dataclasses.astuple(verdict))


def _from_json(values: list[Any]) -> Verdict:
    if len(values) == 2:
        sha256, reason = values
        return UnusableImage(reason, sha256)
    sha256, dhash, width, height, odd = values
    return Facts(sha256, dhash, width, height, tuple(odd))
