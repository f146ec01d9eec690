"""Drawings, determined by the seed and too hard for a linear model; and CIFAR, from stand-ins."""

import hashlib
import socket
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torchvision import datasets

from data import DataError, cifar, drawings
from data.cifar import load_cifar
from data.images import Data

FOX = drawings.CLASS_NAMES.index("fox")


@pytest.fixture(scope="module")
def many() -> Data:
    """Return enough drawings to fit a model, drawn by workers."""
    train, val = (drawings._draw_split(0, part, 64) for part in (range(960), range(960, 1200)))
    return Data(train, val, drawings.CLASS_NAMES, "")


def mean_difference(a, b) -> float:
    """Return the mean difference in levels of 0 to 255, over all pixels and colours."""
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_a_drawing_is_a_function_of_seed_and_index(monkeypatch):
    first = drawings.draw(seed=3, index=FOX, size=64)
    others = [drawings.draw(seed, index, 64) for seed, index in ((3, FOX + 3), (4, FOX))]
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert min(mean_difference(first, other) for other in others) > 10
    monkeypatch.setattr(drawings, "FEW", 3)  # drawings for one process
    data = drawings.load_drawings(15, 16, 0.2, seed=1, num_workers=3)
    train, val = (
        [drawings.draw(1, n, size) for n in part]
        for part, size in ((range(12), 20), (range(12, 15), 16))
    )
    np.testing.assert_array_equal(data.train.images, train)
    np.testing.assert_array_equal(data.val.images, val)
    content = [part.tobytes() for s in (data.train, data.val) for part in (s.images, s.labels)]
    assert data.fingerprint == hashlib.sha256(b"".join(content)).hexdigest()


def test_the_size_does_not_change_the_composition():
    """A large drawing, scaled down, is the small one except for grain and rounding."""
    for index in range(12):
        large = Image.fromarray(drawings.draw(0, index, 128))
        scaled = np.asarray(large.resize((64, 64), Image.Resampling.BILINEAR))
        same, other = (drawings.draw(0, n, 64) for n in (index, index + 3))
        assert mean_difference(scaled, same) < 5 < mean_difference(scaled, other)


def test_the_classes_take_turns_and_mean_colours_do_not_predict_them(many):
    assert drawings.CLASS_NAMES == many.class_names == ["dog", "fox", "wolf"]
    assert (len(many.train), len(many.val), many.unusable) == (960, 240, [])
    labels = np.concatenate([many.train.labels, many.val.labels])
    np.testing.assert_array_equal(labels, np.arange(1200) % 3)
    assert many.train.names + many.val.names == [f"drawing {index}" for index in range(1200)]
    images = np.concatenate([many.train.images, many.val.images])
    assert len({image.tobytes() for image in images}) == len(images)
    model = NearestCentroid().fit(many.train.images.mean(axis=(1, 2)), many.train.labels)
    accuracy = model.score(many.val.images.mean(axis=(1, 2)), many.val.labels)
    assert accuracy < 0.5, f"the mean colour alone predicts {accuracy:.1%} of the drawings"


def test_too_few_drawings_are_refused():
    for num_images, val_fraction, message in (
        (8, 0.3, "6 drawings for training and 2 for validation"),
        (30, 0.99, "change num_images or val_fraction"),
    ):
        with pytest.raises(DataError, match=message):
            drawings.load_drawings(num_images, 64, val_fraction, seed=0)


@pytest.mark.slow
def test_a_linear_model_stays_below_75_percent(many):
    """The control for the CNN is softmax regression on the pixels, with the best penalty.

    The Cholesky factor of the inner products holds the coordinates of the pictures in an
    orthonormal basis of their span, so a fit to it equals a fit to the pixels.
    """
    train, val = (split.images.reshape(len(split), -1) / 255.0 for split in (many.train, many.val))
    centre = train.mean(axis=0)
    train, val = train - centre, val - centre
    # Centred pictures sum to zero; the small diagonal keeps their products positive definite.
    train_inputs = np.linalg.cholesky(train @ train.T + 1e-6 * np.eye(len(train)))
    val_inputs = np.linalg.solve(train_inputs, train @ val.T).T

    def accuracy(strength):
        model = LogisticRegression(C=strength, max_iter=300)
        model.fit(train_inputs, many.train.labels)
        return model.score(val_inputs, many.val.labels)

    with threadpool_limits(1):  # more threads wait for each other on a busy machine
        best = max(accuracy(strength) for strength in (1e-3, 5e-3, 2e-2))
    assert best < 0.75, f"a linear model reaches {best:.1%}: there is little for a CNN to learn"
    assert best > 0.45, f"a linear model reaches only {best:.1%}: is this control correct?"


NAMES = ["dog", "fox", "wolf", "other"]


@pytest.fixture
def archives(monkeypatch):
    """Provide 20 dogs, 4 foxes and 4 wolves for training, 6, 2 and 2 for validation, and others."""
    monkeypatch.setattr(cifar, "NUM_PER_CLASS", {"train": 4, "val": 2})
    archives = {}
    for labels, num_train, num_val in ((["dog", "other"], 20, 6), (["fox", "wolf", "other"], 4, 2)):
        name = "CIFAR10" if "dog" in labels else "CIFAR100"
        for is_train, num in ((True, num_train), (False, num_val)):
            pixels = np.random.default_rng(num).integers(0, 256, (num * len(labels), 32, 32, 3))
            archives[name, is_train] = SimpleNamespace(
                base_folder=name,
                class_to_idx={label: index for index, label in enumerate(NAMES)},
                targets=[NAMES.index(label) for label in labels * num],
                data=pixels.astype(np.uint8),
            )
        open_archive = partial(
            lambda name, root, is_train, download: archives[name, is_train], name
        )
        monkeypatch.setattr(datasets, name, open_archive)
    return archives


def test_three_classes_balanced_with_the_pixels_of_the_archive(archives):
    data = load_cifar("unused", image_size=26)
    assert data.class_names == ["dog", "fox", "wolf"]
    assert np.bincount(data.train.labels).tolist() == [4, 4, 4]
    assert np.bincount(data.val.labels).tolist() == [2, 2, 2]
    assert data.val.images.shape == (6, 26, 26, 3)
    rows = zip(data.train.images, data.train.labels, data.train.names, strict=True)
    for image, label, name in rows:
        archive_name, label_name, number = name.split()
        archive = archives[archive_name, True]
        assert label_name == NAMES[label] == NAMES[archive.targets[int(number)]]
        np.testing.assert_array_equal(image, archive.data[int(number)])
    loaded = [load_cifar("unused", seed=seed) for seed in (0, 0, 1, 2)]
    dogs = [frozenset(name for name in data.train.names if "dog" in name) for data in loaded]
    assert dogs[0] == dogs[1] and len(set(dogs)) > 1  # the seed chooses them
    assert loaded[0].fingerprint == loaded[1].fingerprint != loaded[2].fingerprint


def test_without_a_network_one_line_says_what_to_do(tmp_path, monkeypatch, capsys):
    error = socket.gaierror(-3, "Temporary failure in name resolution")
    monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=error))
    message = r"name resolution.*cifar-10-python\.tar\.gz.*and set"
    with pytest.raises(DataError, match=message) as told:
        load_cifar(tmp_path)
    assert "\n" not in str(told.value)
    assert capsys.readouterr().out == ""
