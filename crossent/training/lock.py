"""One process a run folder: a lock that the system takes back when its holder dies."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from crossent.errors import UserError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file for the block. It names the process that holds it, and is empty else.

    Raises:
        UserError: another process holds it.
    """
    with path.open("a+", encoding="utf-8") as file:
        if not try_lock(file):
            raise UserError(
                f"{path.parent} is in use by another training{holder(file)}; "
                "wait for its end, or name another folder with --out"
            )
        file.truncate(0)  # a killed process has left its number
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def holder(file: IO[str]) -> str:
    """Which process, as far as the file says."""
    if sys.platform == "win32":  # a locked file cannot be read there
        return ""
    file.seek(0)
    number = file.read(20)
    return f" (process {number})" if number.isdigit() else ""


if sys.platform == "win32":
    import msvcrt

    def try_lock(file: IO[str]) -> bool:
        """Whether the lock is ours now; it lasts until the file is closed."""
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(file: IO[str]) -> bool:
        """Whether the lock is ours now; it lasts until the file is closed."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
