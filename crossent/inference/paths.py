"""Find the files to predict: named ones, those in a folder, or a run's validation pictures."""

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from crossent.build import make_data
from crossent.config import saved_settings
from crossent.errors import UserError
from crossent.model_file import Classifier
from data.drawings import draw
from data.folder import list_files

NUM_DRAWINGS = 30
DRAWING_SIDE = 192  # pixels


def find_pictures(arguments: Sequence[str]) -> list[str]:
    """Return the paths of all files that the arguments name, in their order.

    Args:
        arguments: files and folders; of a folder, the files that training would read, by name.

    Raises:
        UserError: an argument is neither a file nor a folder with files.
    """
    paths: list[str] = []
    for name in arguments:
        if not os.path.lexists(name):
            hint = "; URLs are not loaded: save the picture first" if "://" in name else ""
            raise UserError(f"{name}: no such file{hint}")
        found = [name]
        if os.path.isdir(name):
            found = sorted(os.path.join(name, path) for path in list_files(name))
        if not found:
            raise UserError(f"{name}: the folder has no files")
        paths += found
    return paths


def validation_files(classifier: Classifier, folder: Path) -> list[str]:
    """Return the paths of validation pictures of the model's run.

    Args:
        folder: where to write the pictures of a run on drawings.

    Raises:
        UserError: the pictures are not files or were removed; or another version wrote the model.
    """
    settings = saved_settings("the model", classifier.header["settings"])
    data = settings.data
    if data.source == "folder" and data.folder is not None:
        return [os.path.join(data.folder, name) for name in make_data(settings).val.names]
    if data.source != "drawings":
        raise UserError(f"the pictures of data.source={data.source} are not files")
    num = min(NUM_DRAWINGS, round(data.num_images * data.val_fraction))
    paths = []
    for index in range(data.num_images - num, data.num_images):  # the last ones are for validation
        paths.append(str(folder / f"drawing {index}.png"))
        Image.fromarray(draw(settings.data_seed, index, DRAWING_SIDE)).save(paths[-1])
    return paths
