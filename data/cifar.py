"""Dogs, foxes and wolves of CIFAR: 32 x 32 pixels, 500 training and 100 validation per class.

CIFAR-10 has dogs but neither foxes nor wolves, CIFAR-100 has foxes and wolves but no dogs.

torchvision downloads the archives and reads them with pickle, which can run code from a file. It
first compares the checksum of each file with the one in its source code.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import hashlib
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data import DataError
from data.cache import default_cache_dir
from data.decode import size_to_train
from data.images import Data, ImageSet, fingerprint
from data.split import groups_in_order

CLASS_NAMES = ["dog", "fox", "wolf"]
NUM_PER_CLASS = {"train": 500, "val": 100}  # all that CIFAR-100 has, and as many dogs


def load_cifar(root: str | Path | None, image_size: int = 32, seed: int = 0) -> Data:
    """Load three classes of CIFAR-10 and CIFAR-100; download the archives if they are missing.

    The test pictures of CIFAR are the validation pictures. Rows are ordered by content.

    Args:
        root: folder of the archives, created if missing; None: in the user's cache folder.
        image_size: side of the validation pictures in pixels.
        seed: selects 500 of the 5,000 dogs (and 100 of the 1,000).

    Raises:
        DataError: the archives are missing and cannot be downloaded.
    """
    from torchvision.datasets import CIFAR10, CIFAR100  # takes seconds: imports torch

    sets, content = [], {}
    for split, size in (("train", size_to_train(image_size)), ("val", image_size)):
        try:
            folder = root or default_cache_dir() / "cifar"
            with redirect_stdout(io.StringIO()):  # torchvision prints its attempts
                ten, hundred = (
                    c(str(folder), split == "train", download=True) for c in (CIFAR10, CIFAR100)
                )
        except (OSError, RuntimeError) as error:  # no network, home or space, a wrong checksum
            raise DataError(
                f"cannot get CIFAR ({error}); download cifar-10-python.tar.gz and"
                " cifar-100-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html"
                " and set data.root to their folder"
            ) from error
        sources, number = enumerate((ten, hundred, hundred)), NUM_PER_CLASS[split]
        found = [one for label, source in sources for one in _pick(source, label, number, seed)]
        sha256s, labels, names, pixels = zip(*sorted(found, key=lambda p: p[:2]), strict=True)
        bilinear = Image.Resampling.BILINEAR  # as in `data.decode`
        images = [np.asarray(Image.fromarray(p).resize((size, size), bilinear)) for p in pixels]
        sets.append(ImageSet(np.stack(images), np.array(labels, np.int64), list(names)))
        content[split] = sha256s, labels
    train, val = sets
    return Data(train, val, CLASS_NAMES, fingerprint(CLASS_NAMES, content))


def _pick(source: Any, label: int, number: int, seed: int) -> list[tuple[str, int, str, Any]]:
    """Return (hash, label, name, pixels) for each picture of a class that the seed selects."""
    name = CLASS_NAMES[label]
    rows = np.flatnonzero(np.array(source.targets) == source.class_to_idx[name])
    sha256s = [hashlib.sha256(source.data[row].tobytes()).hexdigest() for row in rows]
    chosen = [i for (i,) in groups_in_order(sha256s, range(len(rows)), seed)[:number]]
    names = [f"{source.base_folder} {name} {row}" for row in rows]
    return [(sha256s[i], label, names[i], source.data[rows[i]]) for i in chosen]
