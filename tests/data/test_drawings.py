"""The drawings are determined by the seed, balanced, and too hard for a linear model."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from data import DataError, drawings
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


def test_a_drawing_is_a_function_of_seed_and_index():
    first = drawings.draw(seed=3, index=FOX, size=64)
    others = [drawings.draw(seed, index, 64) for seed, index in ((3, FOX + 3), (4, FOX))]
    np.testing.assert_array_equal(first, drawings.draw(seed=3, index=FOX, size=64))
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert min(mean_difference(first, other) for other in others) > 10


def test_the_size_does_not_change_the_composition():
    """A large drawing, scaled down, is the small one except for grain and rounding."""
    same, other = [], []
    for index in range(12):
        large = Image.fromarray(drawings.draw(0, index, 128))
        scaled = np.asarray(large.resize((64, 64), Image.Resampling.BILINEAR))
        same.append(mean_difference(scaled, drawings.draw(0, index, 64)))
        other.append(mean_difference(scaled, drawings.draw(0, index + 3, 64)))
    assert max(same) < 5
    assert max(same) < min(other)


def test_the_classes_take_turns_and_no_drawing_comes_twice(many):
    assert drawings.CLASS_NAMES == many.class_names == ["dog", "fox", "wolf"]
    assert (len(many.train), len(many.val), many.unusable) == (960, 240, [])
    labels = np.concatenate([many.train.labels, many.val.labels])
    np.testing.assert_array_equal(labels, np.arange(1200) % 3)
    assert many.train.names + many.val.names == [f"drawing {index}" for index in range(1200)]
    images = np.concatenate([many.train.images, many.val.images])
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.parametrize("num_workers", [1, 3])
def test_the_number_of_workers_changes_no_drawing(monkeypatch, num_workers):
    monkeypatch.setattr(drawings, "FEW", 3)
    monkeypatch.setattr(drawings, "num_cpus", lambda: num_workers)
    drawn = drawings._draw_split(1, range(5, 16), 16).images
    np.testing.assert_array_equal(drawn, [drawings.draw(1, index, 16) for index in range(5, 16)])


def test_the_fingerprint_is_that_of_pictures_and_labels():
    data = drawings.load_drawings(12, 16, 0.5, seed=0)
    assert (data.train.images.shape, data.val.images.shape) == ((6, 20, 20, 3), (6, 16, 16, 3))
    content = b"".join(
        part.tobytes() for split in (data.train, data.val) for part in (split.images, split.labels)
    )
    assert data.fingerprint == hashlib.sha256(content).hexdigest()
    for num_images, size, seed in ((14, 16, 0), (12, 17, 0), (12, 16, 1)):
        other = drawings.load_drawings(num_images, size, 0.5, seed)
        assert other.fingerprint != data.fingerprint


@pytest.mark.parametrize(
    ("num_images", "val_fraction", "message"),
    [
        (8, 0.3, "6 drawings for training and 2 for validation"),
        (30, 0.99, "change num_images or val_fraction"),
    ],
)
def test_too_few_drawings_are_refused(num_images, val_fraction, message):
    with pytest.raises(DataError, match=message):
        drawings.load_drawings(num_images, 64, val_fraction, seed=0)


def test_mean_colours_do_not_predict_the_class(many):
    model = NearestCentroid().fit(many.train.images.mean(axis=(1, 2)), many.train.labels)
    accuracy = model.score(many.val.images.mean(axis=(1, 2)), many.val.labels)
    assert accuracy < 0.5, f"the mean colour alone predicts {accuracy:.1%} of the drawings"


@pytest.mark.slow
def test_a_linear_model_stays_below_75_percent(many):
    """The control for the CNN is softmax regression on the pixels, with the best penalty.

    With fewer pictures than pixels, the best weights under an L2 penalty are combinations of
    the training pictures. The Cholesky factor of the matrix of inner products holds the
    coordinates of the pictures in an orthonormal basis of that space, so that a fit to its 960
    columns equals a fit to 12,288 pixels.
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
