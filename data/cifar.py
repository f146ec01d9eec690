"""Dogs, foxes and wolves of CIFAR: 32 pixels small, 500 a class to train on, 100 to validate.

CIFAR-10 has dogs but neither foxes nor wolves, CIFAR-100 has foxes and wolves but no dogs.

torchvision downloads the archives, and reads them with pickle, which would run whatever an archive
told it to. It does so only after it has compared every file with the checksum in its own source.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import hashlib
import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from data.errors import DataError
from data.images import Data, ImageSet, fingerprint

CLASS_NAMES = ["dog", "fox", "wolf"]
NUM_PER_CLASS = {"train": 500, "val": 100}  # all that CIFAR-100 has, and as many dogs
ARCHIVES = ("cifar-10-python.tar.gz", "cifar-100-python.tar.gz")

Pixels = npt.NDArray[np.uint8]


def load_cifar(
    root: str | Path, image_size: int = 32, seed: int = 0, train_size: int | None = None
) -> Data:
    """Picks three classes of CIFAR-10 and CIFAR-100, which it downloads if they are not there.

    CIFAR's own test pictures validate. Rows are ordered by content.

    Args:
        root: folder of the archives, made if it is missing.
        image_size: side in pixels of the validation pictures; 32 is what CIFAR has.
        seed: which 500 of the 5,000 dogs (and 100 of the 1,000).
        train_size: side in pixels of the training pictures; `image_size` by default.

    Raises:
        DataError: the archives are neither there nor can be fetched; what to do.
    """
    sources = _open(Path(root))
    train, train_rows = _image_set(sources, "train", train_size or image_size, seed)
    val, val_rows = _image_set(sources, "val", image_size, seed)
    return Data(
        train,
        val,
        list(CLASS_NAMES),
        fingerprint(CLASS_NAMES, {"train": train_rows, "val": val_rows}),
        summary=f"{len(train) + len(val):,} pictures of CIFAR in {len(CLASS_NAMES)} classes"
        f" ({len(train):,} train, {len(val):,} val)",
    )


def _image_set(
    sources: list[dict[str, Any]], split: str, size: int, seed: int
) -> tuple[ImageSet, tuple[Sequence[str], Sequence[int]]]:
    """The pictures of a split, and the hash and label of each."""
    found = [
        picture
        for label, (name, source) in enumerate(zip(CLASS_NAMES, sources, strict=True))
        for picture in _pick(source[split], name, label, NUM_PER_CLASS[split], seed)
    ]
    sha256s, labels, names, pixels = zip(*sorted(found, key=lambda p: p[:2]), strict=True)
    images = np.stack([_resize(one, size) for one in pixels])
    return ImageSet(images, np.array(labels, np.int64), list(names)), (sha256s, labels)


def _open(root: Path) -> list[dict[str, Any]]:
    """For each class the data set it is in, by split."""
    from torchvision.datasets import CIFAR10, CIFAR100  # imports torch: seconds

    try:
        with redirect_stdout(io.StringIO()):  # it prints how it tries again without https
            cifar10, cifar100 = (
                {
                    "train": dataset(str(root), train=True, download=True),
                    "val": dataset(str(root), train=False, download=False),
                }
                for dataset in (CIFAR10, CIFAR100)
            )
    except (OSError, RuntimeError) as error:  # no network; no disk; a checksum that differs
        raise DataError(
            f"{root}: cannot get CIFAR ({error}); download {' and '.join(ARCHIVES)} from"
            " https://www.cs.toronto.edu/~kriz/cifar.html and put them into that folder"
        ) from error
    return [cifar10, cifar100, cifar100]


def _pick(
    source: Any, class_name: str, label: int, number: int, seed: int
) -> list[tuple[str, int, str, Pixels]]:
    """The pictures of a class that the seed draws: (hash, label, name, pixels) each."""
    wanted = source.class_to_idx[class_name]
    items = []
    for index in np.flatnonzero(np.array(source.targets) == wanted):
        pixels = source.data[index]
        sha256 = hashlib.sha256(pixels.tobytes()).hexdigest()
        items.append((sha256, label, f"{source.base_folder} {class_name} {index}", pixels))
    items.sort(key=lambda item: hashlib.sha256(f"{seed} {item[0]}".encode()).hexdigest())
    return items[:number]


def _resize(pixels: Pixels, size: int) -> Pixels:
    """The resize of `data.decode`."""
    image = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)
