"""Which files: named, below a folder, by a pattern, on standard input, or those of a run."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence

from crossent.build import make_data
from crossent.config import Settings, settings_from_dict
from crossent.errors import UserError
from crossent.model_file import Classifier


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
        if word != "-" and not os.path.lexists(word) and not glob.has_magic(word):
            raise UserError(f"{word}: no such file or folder")
    return (path for word in words for path in _files(word, stdin))


def _files(word: str, stdin: Iterable[bytes]) -> Iterator[str]:
    if word == "-":
        yield from filter(None, (os.fsdecode(line.rstrip(b"\r\n")) for line in stdin))
    elif os.path.isdir(word):
        yield from _not_empty(_below(word), f"{word}: the folder has no files")
    elif os.path.lexists(word):
        yield word
    else:
        found = filter(os.path.isfile, glob.iglob(word, recursive=True))
        yield from _not_empty(found, f"{word}: no file has such a name")


def _below(folder: str) -> Iterator[str]:
    """Every file below a folder in the order of names; hidden files and folders are left out."""
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(path, name) for name in sorted(files) if name[0] != ".")


def _not_empty(paths: Iterator[str], message: str) -> Iterator[str]:
    first = next(paths, None)
    if first is None:
        raise UserError(message)
    yield first
    yield from paths


def validation_files(classifier: Classifier) -> tuple[Settings, list[str]]:
    """Return the settings of a model's run, and the paths of its validation pictures, if any.

    Raises:
        UserError: the settings are of another version of this program, or the pictures are gone.
    """
    settings = settings_from_dict(classifier.header["settings"], "the model")
    if settings.data.source != "folder" or settings.data.root is None:
        return settings, []
    names = make_data(settings).val.names
    return settings, [os.path.join(settings.data.root, name) for name in names]
