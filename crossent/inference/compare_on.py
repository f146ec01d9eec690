"""The pictures on which an export is compared with its original."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crossent.build import make_data
from crossent.config import settings_from_dict
from crossent.errors import UserError
from crossent.inference.paths import find_pictures
from crossent.model_file import Classifier
from data.decode import UnusableImage, decode_whole

NUM_DRAWINGS = 30

Named = tuple[str, npt.NDArray[np.uint8]]


def pictures_to_compare_on(
    classifier: Classifier, folder: str | None
) -> tuple[str, Iterator[Named]]:
    """Where they come from, in words, and the pictures: name and (H, W, 3) pixels each.

    Those of the folder that is named; else the run's validation pictures, if they are files that
    are still there; else drawings, which are always to be had.
    """
    size = classifier.preprocessing.image_size
    if folder is not None:
        return folder, decoded(find_pictures([folder]), size)
    settings = settings_from_dict(classifier.header["settings"], "the model")
    if settings.data.source != "folder":
        return "drawings of several sizes", drawings(size)
    assert settings.data.root is not None  # the config's own check
    try:
        names = make_data(settings).val.names
    except UserError as error:
        return f"drawings, as the pictures of the run are gone ({error})", drawings(size)
    paths = (str(Path(settings.data.root) / name) for name in names)
    return "validation pictures of the run", decoded(paths, size)


def decoded(paths: Iterator[str], size: int) -> Iterator[Named]:
    """Those that can be decoded, each as large as the decoder gives it."""
    for path in paths:
        try:
            yield path, decode_whole(path, size)
        except UnusableImage:
            continue


def drawings(size: int) -> Iterator[Named]:
    """Smaller than the model's input, as large and larger; upright ones and lying ones."""
    from data.drawings import draw

    sides = (max(16, size // 2), size, 2 * size + 7)
    for index in range(NUM_DRAWINGS):
        pixels = draw(0, index, sides[index % 3])
        yield f"drawing {index}", pixels[: len(pixels) * 2 // 3] if index % 2 else pixels
