"""Which files: named, below a folder, by a pattern, on standard input, or those of a run."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from PIL import Image

from crossent.build import make_data
from crossent.config import settings_from_dict
from crossent.errors import UserError
from crossent.model_file import Classifier
from data.drawings import draw
from data.folder import list_files

NUM_DRAWINGS = 30
DRAWING_SIDE = 192  # pixels


def find_pictures(words: Sequence[str], stdin: Iterable[bytes] = ()) -> Iterator[str]:
    """Return the paths that the words name, in their order.

    Args:
        words: files, folders (what training would open below them, in the order of names),
            patterns such as "photos/**/*.jpg", or "-" for the list on standard input.
        stdin: the lines of that list, a path each. They are read one by one and not looked for:
            whoever opens a file that does not exist will say so.

    Raises:
        UserError: a word names no file.
    """
    return chain.from_iterable([_files(word, stdin) for word in words])


def _files(word: str, stdin: Iterable[bytes]) -> Iterable[str]:
    if word == "-":
        return filter(None, (os.fsdecode(line.rstrip(b"\r\n")) for line in stdin))
    is_address = "://" in word
    reason = "addresses are not loaded; save the picture first" if is_address else "no such file"
    if os.path.isdir(word):
        found = sorted(os.path.join(word, file.path) for file in list_files(word).files)
        reason = "the folder has no files"
    elif os.path.lexists(word):  # also where the name reads as a pattern
        found = [word]
    else:
        found = sorted(filter(os.path.isfile, glob.iglob(word, recursive=True)))
    if not found:
        raise UserError(f"{word}: {reason}")
    return found


def validation_files(classifier: Classifier, folder: Path) -> list[str]:
    """Return paths of validation pictures of the model's run.

    Args:
        folder: where to draw those of a run on drawings.

    Raises:
        UserError: the pictures are gone or no files, or the settings are those of another version.
    """
    settings = settings_from_dict(classifier.header["settings"], "the model")
    data = settings.data
    if data.source == "drawings":  # the last ones are kept for validation
        num = min(NUM_DRAWINGS, round(data.num_images * data.val_fraction))
        return draw_files(folder, settings.data_seed, data.num_images - num, num)
    if data.source != "folder" or data.folder is None:
        raise UserError(f"data.source={data.source} has no files to show")
    return [os.path.join(data.folder, name) for name in make_data(settings).val.names]


def draw_files(
    folder: Path, seed: int = 0, first: int = 0, num_files: int = NUM_DRAWINGS
) -> list[str]:
    """Write some drawings and return their paths."""
    paths = []
    for index in range(first, first + num_files):
        paths.append(str(folder / f"drawing {index}.png"))
        Image.fromarray(draw(seed, index, DRAWING_SIDE)).save(paths[-1])
    return paths
