"""Write files so that a reader finds either the old content or the complete new one."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the same folder, then rename it to `path`.

    Both the content and the name are flushed to the disk: a kill or a power cut at any moment
    leaves the old file or the new one.

    Raises:
        OSError: the disk is full, the folder is missing, ...; the error names `path`.
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


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with `write_atomic`."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def fsync(path: Path) -> None:
    """Wait until the content of the file, or the list of the folder's files, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
