import math

import numpy as np
import pytest
import torch

from data.augment import NUM_DRAWS, Augmentation, affine_matrices, augment
from data.preprocess import Preprocessing

PLAIN = Preprocessing(32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))  # pixels from 0 to 1
EVERYTHING = Augmentation(0.4, 1.5, 0.5, 20, 0.3, 0.3, 0.3)


def augmented(images, draws, augmentation, preprocessing):
    return augment(images, augmentation.changes(draws), preprocessing)


def pictures(num=6, size=32):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (num, 8, 8, 3), dtype=np.uint8)
    return torch.from_numpy(coarse.repeat(size // 8, axis=1).repeat(size // 8, axis=2))


def uniform(num=6, **columns):
    """Return draws in the middle of every range, where nothing changes; 0.99 does not mirror."""
    names = "area aspect x y mirror angle brightness contrast saturation".split()
    draws = torch.full((num, NUM_DRAWS), 0.5)
    draws[:, 4] = 0.99
    for name, value in columns.items():
        draws[:, names.index(name)] = value
    return draws


def test_no_augmentation_is_the_preprocessing():
    images = pictures()
    preprocessing = Preprocessing(32)
    got = augmented(images, torch.rand(6, NUM_DRAWS), Augmentation(), preprocessing)
    torch.testing.assert_close(got, preprocessing.normalise(images), rtol=1e-4, atol=1e-4)
    assert got.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("columns", "augmentation", "wanted"),
    [
        ({"mirror": 0.2}, Augmentation(flip=0.5), lambda x: x.flip(3)),
        ({"mirror": 0.7}, Augmentation(flip=0.5), lambda x: x),
        ({"angle": 1.0}, Augmentation(rotation=90), lambda x: torch.rot90(x, 1, (2, 3))),
        ({"brightness": 1.0}, Augmentation(brightness=0.2), lambda x: 1.2 * x),
    ],
)
def test_one_change_by_its_definition(columns, augmentation, wanted):
    got = augmented(pictures(), uniform(**columns), augmentation, PLAIN)
    torch.testing.assert_close(got, wanted(PLAIN.normalise(pictures())), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("x", "columns"), [(0.0, slice(0, 16)), (1.0, slice(16, 32))])
def test_a_crop_of_a_quarter_shows_a_corner_enlarged(x, columns):
    images = pictures()
    got = augmented(images, uniform(area=0.0, x=x, y=0.0), Augmentation(crop=0.25), PLAIN)
    corner = PLAIN.normalise(images)[:, :, :16, columns]
    enlarged = torch.nn.functional.interpolate(corner, size=32, mode="bilinear")
    # The last row may be read from outside the crop, where the enlarged corner repeats its edge.
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(got[inner], enlarged[inner], rtol=1e-4, atol=1e-4)


def test_contrast_and_saturation_by_their_definitions():
    images = pictures()
    x = PLAIN.normalise(images)
    grey = (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    flat = augmented(images, uniform(contrast=0.0), Augmentation(contrast=1.0), PLAIN)
    mean = grey.mean((2, 3), keepdim=True).expand_as(x)
    torch.testing.assert_close(flat, mean, rtol=1e-4, atol=1e-4)
    pale = augmented(images, uniform(saturation=0.0), Augmentation(saturation=1.0), PLAIN)
    torch.testing.assert_close(pale, grey.expand_as(x), rtol=1e-4, atol=1e-4)


def test_crops_stay_inside_the_picture():
    """Only a rotated crop may reach over the edge."""
    draws = torch.rand(2000, NUM_DRAWS, generator=torch.Generator().manual_seed(0))
    matrix = affine_matrices(draws, Augmentation(crop=0.1, aspect=2.0, flip=0.5))
    reach = matrix[:, :, 2].abs() + matrix[:, :, :2].abs().sum(2)
    assert reach.max() <= 1 + 1e-5
    area = matrix[:, 0, 0].abs() * matrix[:, 1, 1].abs()
    assert 0.05 < area.min() < 0.15 and area.max() > 0.9


def test_draws_are_a_function_of_seed_and_epoch():
    first = EVERYTHING.draw(seed=1, epoch=2, num_slots=10)
    again = EVERYTHING.draw(seed=1, epoch=2, num_slots=10)
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], EVERYTHING.draw(1, 3, 10)[0])
    assert not np.array_equal(first[0], EVERYTHING.draw(2, 2, 10)[0])
    assert (first[1] == 1).all()


def test_mixup_shares_follow_the_folded_beta_distribution():
    lam = Augmentation(mixup=1.0).draw(0, 0, 20_000)[1]  # Beta(1, 1) folded: uniform on [1/2, 1]
    assert 0.5 <= lam.min() and lam.max() <= 1
    assert math.isclose(lam.mean(), 0.75, abs_tol=0.005)
