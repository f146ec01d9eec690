"""Writing files so that a reader finds the old content or the new, never a torn one."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the same folder, then put it in the place of `path`.

    The content reaches the disk before the name does, and the name before this returns: a kill or
    a power cut at any moment leaves the old file or the new one.

    Raises:
        OSError: of `path`, whichever file it was: the disk is full, the folder is gone, ...
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            temporary.chmod(0o666 & ~umask())  # mkstemp gives the owner alone access
            fsync(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fsync(path.parent)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot be written: {error.strerror or error}", str(path)
        ) from error


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


def umask() -> int:
    """The permission bits that new files go without; reading them means setting them."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
