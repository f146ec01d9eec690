"""Writing files so that a reader finds the old content or the new, never a torn one."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the same folder, then put it in the place of `path`.

    The content reaches the disk before the name does, and the name before this returns: a kill or
    a power cut at any moment leaves the old file or the new one.

    Raises:
        OSError: of `path`, whichever file it was: the disk is full, the folder is gone, ...
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        write(temporary)
        fsync(temporary)
        os.replace(temporary, path)
        fsync(path.parent)
    except OSError as error:
        reason = f"cannot be written: {error.strerror or error}"
        raise OSError(error.errno, reason, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporary_files(folder: Path) -> None:
    """Remove what killed processes have left; only the process that holds the folder may do so."""
    for temporary in folder.glob(".*.tmp"):
        temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """`write_atomic` for UTF-8 text."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def fsync(path: Path) -> None:
    """Wait until the file, or the entries of the folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
