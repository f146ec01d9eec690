"""python -m crossent cache [--remove | --remove-unused DAYS] [--dir DIR]"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dir", type=Path, metavar="DIR", help="default: the user's cache folder")
    parser.add_argument("--remove", action="store_true", help="remove all of it")
    parser.add_argument(
        "--remove-unused", type=float, metavar="DAYS", help="remove what was not used for so long"
    )


def run(args: argparse.Namespace) -> int:
    import time

    from data.cache import list_entries, remove_entry
    from data.files import default_cache_dir

    cache_dir = args.dir or default_cache_dir()
    entries = list_entries(cache_dir)
    max_days = 0.0 if args.remove else args.remove_unused
    for entry in entries:
        days = (time.time() - entry.last_used) / 86_400
        doomed = max_days is not None and days >= max_days
        if doomed:
            remove_entry(entry.path)
        size = f"{entry.num_bytes / 1e6:10.1f} MB"
        print(f"{size}  {days:5.0f} days ago  {entry.root}{'  removed' if doomed else ''}")
    total = sum(entry.num_bytes for entry in entries)
    print(f"{len(entries)} entries, {total / 1e6:.1f} MB in {cache_dir}")
    return 0
