"""Lists and removes decoded pictures: python -m crossent cache"""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from data.files import default_cache_dir

if TYPE_CHECKING:
    from data.cache import CacheInfo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tells the parser what the command takes."""
    parser.add_argument("--dir", metavar="DIR", help="the cache folder (default: the user's)")
    parser.add_argument("--remove-older-than", metavar="DAYS", type=float, help="not used since")
    parser.add_argument("--remove", metavar="KEY", nargs="+", help="the start of its key is enough")
    parser.add_argument("--remove-all", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Removes what is asked for, then lists what is left.

    Raises:
        ValueError: a key that no entry has, or that several have.
    """
    from data.cache import list_entries, remove_entry  # imports numpy, which --help need not

    cache_dir = Path(args.dir) if args.dir else default_cache_dir()
    entries = list_entries(cache_dir)
    for entry in _chosen(entries, args):
        remove_entry(entry.path)
        print(f"removed {_line(entry)}")
        entries.remove(entry)
    for entry in entries:
        print(_line(entry))
    total_mb = sum(entry.num_bytes for entry in entries) / 1e6
    print(f"{cache_dir}: {len(entries)} data sets, {total_mb:,.1f} MB")
    return 0


def _chosen(entries: "list[CacheInfo]", args: argparse.Namespace) -> "list[CacheInfo]":
    if args.remove_all:
        return list(entries)
    chosen = {entry.path: entry for entry in (_find(entries, key) for key in args.remove or [])}
    if args.remove_older_than is not None:
        oldest = time.time() - 86_400 * args.remove_older_than
        chosen.update({entry.path: entry for entry in entries if entry.last_used < oldest})
    return list(chosen.values())


def _find(entries: "list[CacheInfo]", key: str) -> "CacheInfo":
    found = [entry for entry in entries if entry.path.name.startswith(key)]
    if len(found) != 1:
        raise ValueError(
            f"--remove {key}: {len(found)} entries of the cache start so; expected one"
        )
    return found[0]


def _line(entry: "CacheInfo") -> str:
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.last_used))
    return f"{entry.path.name[:12]}  {entry.num_bytes / 1e6:10,.1f} MB  used {day}  {entry.root}"
