"""The drawings as a data set: two balanced splits, drawn on all cores."""

import hashlib
from collections.abc import Callable
from functools import partial

import numpy as np
from tqdm import tqdm

from data import DataError
from data.decode_pool import num_cpus, start_workers
from data.drawings.scene import draw, label
from data.drawings.species import CLASS_NAMES
from data.images import Data, ImageSet, Pixels

PART = 16  # drawings that a process makes at a time
FEW = 150  # drawings: fewer are not worth the start of a process, some 0.2 s


def load_drawings(
    num_images: int,
    image_size: int,
    val_fraction: float,
    seed: int,
    train_size: int | None = None,
    num_workers: int | None = None,
) -> Data:
    """Draw a training and a validation split, the same on any number of cores.

    The first drawings are for training, the others for validation. The classes take turns, so
    that in each split their counts differ by one at most.

    Args:
        num_images: of both splits together.
        image_size: side of the validation pictures in pixels.
        val_fraction: the share of the drawings kept for validation, rounded to whole drawings.
        seed: of all drawings; 0 or more.
        train_size: side of the training pictures in pixels; None for image_size.
        num_workers: processes that draw; one per CPU by default.

    Raises:
        DataError: a split would lack a class.

    Example:
        >>> data = load_drawings(num_images=30, image_size=64, val_fraction=0.2, seed=0)
        >>> len(data.train), len(data.val), data.val.names[0]
        (24, 6, 'drawing 24')
    """
    num_val, fewest = round(num_images * val_fraction), len(CLASS_NAMES)
    num_train = num_images - num_val
    if min(num_train, num_val) < fewest:
        raise DataError(
            f"{num_train} drawings for training and {num_val} for validation; each split needs "
            f"at least {fewest}, one of each class: change num_images or val_fraction"
        )
    train = _draw_split(seed, range(num_train), train_size or image_size, num_workers)
    val = _draw_split(seed, range(num_train, num_images), image_size, num_workers)
    digest = hashlib.sha256()
    for split in (train, val):
        digest.update(split.images.tobytes())
        digest.update(split.labels.tobytes())
    return Data(train, val, list(CLASS_NAMES), digest.hexdigest())


def _draw_split(seed: int, indices: range, size: int, num_workers: int | None = None) -> ImageSet:
    images = np.empty((len(indices), size, size, 3), dtype=np.uint8)
    draw_one = partial(draw, seed, size=size)
    num_workers = min(num_workers or num_cpus(), len(indices) // FEW)
    if num_workers < 2:
        images[:] = [draw_one(index) for index in indices]
    else:
        # Not by `map`: after a signal it cancels what is left, and on the end of its workers the
        # pool's thread in Python 3.11 takes a cancelled future for an error.
        with start_workers(num_workers) as pool:
            futures = {
                start: pool.submit(_draw_part, draw_one, indices[start : start + PART])
                for start in range(0, len(indices), PART)
            }
            bar = tqdm(
                futures.items(), "drawing", unit="", unit_scale=PART, leave=False, disable=None
            )
            for start, future in bar:
                images[start : start + PART] = future.result()
    labels = np.array([label(index) for index in indices], dtype=np.int64)
    return ImageSet(images, labels, [f"drawing {index}" for index in indices])


def _draw_part(draw_one: Callable[[int], Pixels], indices: range) -> list[Pixels]:
    return [draw_one(index) for index in indices]
