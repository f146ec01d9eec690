"""A data set without a download: dogs, foxes and wolves, drawn from a seed."""

import hashlib

import numpy as np
from tqdm import tqdm

from data import DataError
from data.decode import size_to_train
from data.decode_pool import num_cpus, start_workers
from data.drawings.scene import draw
from data.drawings.species import CLASS_NAMES
from data.images import Data, ImageSet

__all__ = ["CLASS_NAMES", "draw", "load_drawings"]

FEW = 150  # at least so many drawings per worker, which takes 0.2 s to start


def load_drawings(
    num_images: int, image_size: int, val_fraction: float, seed: int, num_workers: int | None = None
) -> Data:
    """Draw a training and a validation split, the same for any number of workers.

    The first drawings are for training, the others for validation. The classes take turns, so
    their counts differ by at most one in each split.

    Args:
        num_images: of both splits together.
        image_size: side of the validation pictures in pixels.
        val_fraction: the share of the drawings kept for validation, rounded to whole drawings.
        seed: of all drawings; 0 or more.
        num_workers: processes that draw; one per CPU by default.

    Raises:
        DataError: a split would have no drawing of a class.

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
            f"at least {fewest}, one per class: change num_images or val_fraction"
        )
    train = _draw_split(seed, range(num_train), size_to_train(image_size), num_workers)
    val = _draw_split(seed, range(num_train, num_images), image_size, num_workers)
    digest = hashlib.sha256()
    for part in (train.images, train.labels, val.images, val.labels):
        digest.update(part.tobytes())
    return Data(train, val, list(CLASS_NAMES), digest.hexdigest())


def _draw_split(seed: int, indices: range, size: int, num_workers: int | None = None) -> ImageSet:
    num_workers = min(num_workers or num_cpus(), len(indices) // FEW)
    if num_workers < 2:
        drawn = [draw(seed, index, size) for index in indices]
    else:
        # `pool.map` would cancel the rest after a signal, and in Python 3.11 the thread of a pool
        # whose workers have ended prints a traceback for a cancelled future.
        with start_workers(num_workers) as pool:
            futures = [pool.submit(draw, seed, index, size) for index in indices]
            bar = tqdm(futures, "drawing", unit="", leave=False, disable=None)
            drawn = [future.result() for future in bar]
    labels = np.array(indices, np.int64) % len(CLASS_NAMES)
    return ImageSet(np.stack(drawn), labels, [f"drawing {index}" for index in indices])
