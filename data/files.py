"""Writing so that a reader sees the old file or the new one, whole, whatever happens meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def default_cache_dir() -> Path:
    """The user's cache folder: $XDG_CACHE_HOME/crossent, or ~/.cache/crossent."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "crossent"


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder as durable as the files they stand for."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Writes a new file and waits until the disk has it."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Puts `content` in the place of a file, in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_durably(temporary, content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def told_as_the_users(folder: Path) -> Iterator[None]:
    """A full disk or a read-only folder is the user's to mend: one line instead of a traceback."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{folder}: cannot write the cache of decoded pictures ({error.strerror}); free some"
            f" space, set data.cache_dir to another folder, or turn the cache off"
        ) from error
