"""Which files: named, below a folder, by a pattern, on standard input, or those of a run."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from crossent.build import make_data
from crossent.config import Settings, settings_from_dict
from crossent.errors import UserError
from crossent.model_file import Classifier

STDIN = "-"


def find_pictures(words: Sequence[str], stdin: Iterable[bytes] = ()) -> Iterator[str]:
    """Give the files one by one, so that a million of them need no list.

    Args:
        words: files, folders (all files below, hidden ones left out), patterns such as
            "photos/**/*.jpg", or "-" for the list on standard input.
        stdin: the lines of that list, a path each. One that does not exist is not looked for:
            whoever opens it will say so.

    Raises:
        UserError: at once, if a word names nothing; while going on, if a folder has no file.
    """
    for word in words:
        if word != STDIN and not os.path.lexists(word) and not glob.has_magic(word):
            raise UserError(f"{word}: no such file or folder")
    return _files(words, stdin)


def _files(words: Sequence[str], stdin: Iterable[bytes]) -> Iterator[str]:
    for word in words:
        if word == STDIN:
            yield from filter(None, (os.fsdecode(line.rstrip(b"\r\n")) for line in stdin))
        elif os.path.isdir(word):
            yield from _not_empty(_below(Path(word)), f"{word}: the folder has no files")
        elif os.path.lexists(word):
            yield word
        else:
            found = (path for path in glob.iglob(word, recursive=True) if os.path.isfile(path))
            yield from _not_empty(found, f"{word}: no file has such a name")


def _below(folder: Path) -> Iterator[str]:
    """Every file below a folder in the order of names; hidden files and folders are left out."""
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield os.path.join(path, name)


def _not_empty(paths: Iterator[str], message: str) -> Iterator[str]:
    first = next(paths, None)
    if first is None:
        raise UserError(message)
    yield first
    yield from paths


def run_settings(classifier: Classifier) -> Settings:
    """Return the settings that a model was trained with.

    Raises:
        UserError: they are of another version of this program.
    """
    return settings_from_dict(classifier.header["settings"], "the model")


def validation_files(settings: Settings) -> list[str]:
    """Return the paths of the run's validation pictures; none if they are no files.

    Raises:
        UserError: the pictures are gone.
    """
    if settings.data.source != "folder" or settings.data.root is None:
        return []
    return [str(Path(settings.data.root) / name) for name in make_data(settings).val.names]
