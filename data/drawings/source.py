"""The drawings as a data set: two balanced splits, drawn on all cores."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from data.drawings.scene import draw, label
from data.drawings.species import CLASS_NAMES
from data.errors import DataError
from data.images import Data, ImageSet

ROOT = Path(__file__).resolve().parents[2]  # where `python -m data.drawings.worker` is found
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # numpy's threads would only hinder the other workers
FEW = 150  # drawings: fewer are not worth the start of a worker, some 0.2 s


def load_drawings(
    num_images: int,
    image_size: int,
    val_fraction: float,
    seed: int,
    train_size: int | None = None,
) -> Data:
    """Draw a training and a validation split, the same whatever the number of cores.

    The first drawings are for training, the others for validation. The classes take turns, so
    that in each split their counts differ by one at most.

    Args:
        num_images: of both splits together.
        image_size: side of the validation pictures in pixels.
        val_fraction: the share of the drawings kept for validation, rounded to whole drawings.
        seed: of all drawings; 0 or more.
        train_size: side of the training pictures in pixels; None for image_size.

    Raises:
        DataError: a size or the seed is out of range, or a split would lack a class.

    Example:
        >>> data = load_drawings(num_images=30, image_size=64, val_fraction=0.2, seed=0)
        >>> len(data.train), len(data.val), data.val.names[0]
        (24, 6, 'drawing 24')
    """
    train_size = image_size if train_size is None else train_size
    num_train = num_images - round(num_images * val_fraction)
    _check(num_train, num_images - num_train, min(image_size, train_size), seed)
    train = _draw_split(seed, range(num_train), train_size)
    val = _draw_split(seed, range(num_train, num_images), image_size)
    return Data(train, val, list(CLASS_NAMES), _fingerprint(train, val))


def _check(num_train: int, num_val: int, size: int, seed: int) -> None:
    fewest = len(CLASS_NAMES)
    if num_train < fewest or num_val < fewest:
        raise DataError(
            f"{num_train} drawings for training and {num_val} for validation; each split needs "
            f"at least {fewest}, one of each class: change num_images or val_fraction"
        )
    if size < 8:
        raise DataError(f"drawings of {size} pixels; expected an image_size of 8 or more")
    if seed < 0:
        raise DataError(f"seed is {seed}; drawings need a seed of 0 or more")


def _draw_split(seed: int, indices: range, size: int) -> ImageSet:
    images = np.empty((len(indices), size, size, 3), dtype=np.uint8)
    for row, image in enumerate(_drawings(seed, indices, size)):
        images[row] = image
    labels = np.array([label(index) for index in indices], dtype=np.int64)
    return ImageSet(images, labels, [f"drawing {index}" for index in indices])


def _drawings(seed: int, indices: range, size: int) -> Iterator[npt.NDArray[np.uint8]]:
    """The drawings in the order of their indices."""
    if len(indices) <= FEW:
        yield from (draw(seed, index, size) for index in indices)
    else:
        num_workers = min(_num_cores(), 1 + len(indices) // FEW)
        parallel = _draw_in_workers(seed, indices, size, num_workers)
        yield from tqdm(parallel, "drawing", len(indices), unit="", leave=False, disable=None)


def _draw_in_workers(
    seed: int, indices: range, size: int, num_workers: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Worker w of n draws the indices w, w + n, ...; we read one drawing from each in turn.

    The workers are commands of their own rather than `multiprocessing`: a fork would copy a
    process in which torch may have started threads, and spawn would run the caller's main
    module again. A worker that is ahead waits, its pipe being full.
    """
    num_bytes = size * size * 3
    with ExitStack() as stack:
        workers = [
            stack.enter_context(_worker(seed, indices[start::num_workers], size))
            for start in range(num_workers)
        ]
        for row in range(len(indices)):
            pixels = workers[row % num_workers].read(num_bytes)
            if len(pixels) < num_bytes:
                raise RuntimeError("a drawing process has ended early; its message stands above")
            yield np.frombuffer(pixels, dtype=np.uint8).reshape(size, size, 3)


@contextmanager
def _worker(seed: int, indices: range, size: int) -> Iterator[IO[bytes]]:
    """Start a worker, give its output, and end it with the block, whatever ends that."""
    numbers = (seed, indices.start, indices.stop, indices.step, size)
    command = [sys.executable, "-m", "data.drawings.worker", *map(str, numbers)]
    # In a session of its own, the worker does not answer Ctrl-C with a traceback: we end it.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | ONE_THREAD,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None  # for mypy: it is a pipe
        try:
            yield process.stdout
        finally:
            process.kill()


def _num_cores() -> int:
    """The cores this process may use, which in a container may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _fingerprint(*splits: ImageSet) -> str:
    digest = hashlib.sha256()
    for split in splits:
        for image, target in zip(split.images, split.labels, strict=True):
            digest.update(image.tobytes())
            digest.update(int(target).to_bytes(8, "little"))
    return digest.hexdigest()
