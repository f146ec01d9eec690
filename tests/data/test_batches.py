"""Batches: order, mixup, shares of processes; and each random change of a picture."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from data.augment import NUM_DRAWS, Augmentation, augment
from data.batches import TrainBatches, val_batches
from data.images import ImageSet
from data.preprocess import Preprocessing
from data.sampler import EpochSampler

CPU = torch.device("cpu")
LABELS = np.array([0] * 7 + [1] * 3 + [2] * 10)


def test_an_epoch_shows_every_sample_once_in_an_order_of_seed_and_epoch():
    for batch_size in (1, 3, 20, 64):
        order = EpochSampler(LABELS, batch_size, seed=0)
        batches = order.batches(epoch=4)
        assert len(batches) == order.num_batches == -(-20 // batch_size)
        assert sorted(np.concatenate(batches)) == list(range(20))
        assert max(map(len, batches)) - min(map(len, batches)) <= 1
        assert np.array_equal(order.sample_ids(4), np.arange(20))
    cases = [(0, 3), (0, 4), (1, 3), (1, 0), (0, 1), (0, 3)]  # seed and epoch
    orders = [tuple(EpochSampler(LABELS, 20, seed).batches(epoch)[0]) for seed, epoch in cases]
    assert orders[0] == orders[-1] and len(set(orders)) == len(cases) - 1


def test_balanced_sampling_shows_classes_equally_and_samples_almost_equally():
    order = EpochSampler(LABELS, 8, seed=0, balanced=True)
    ids = order.sample_ids(epoch=0)
    assert np.bincount(LABELS[ids]).tolist() == [10, 10, 10]
    times = np.bincount(ids, minlength=20)
    assert times[:7].min() == 1 and times[:7].max() == 2
    assert times[7:10].min() == 3 and times[7:10].max() == 4
    assert (times[10:] == 1).all()
    assert order.sample_ids(1).tolist() != ids.tolist()  # the next epoch repeats other samples
    assert sorted(np.concatenate(order.batches(0))) == list(range(30))
    lacking = EpochSampler(np.array([0, 2, 2]), 2, seed=0, balanced=True)  # no class 1
    assert sorted(lacking.sample_ids(0)) == [0, 0, 1, 2]


def image_set(num=20, size=20):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num, size, size, 3), dtype=np.uint8)
    return ImageSet(images, rng.integers(0, 3, num), [f"picture {i}" for i in range(num)])


def train_batches(augmentation, batch_size=6, balanced=False):
    images = image_set()
    order = EpochSampler(images.labels, batch_size, seed=5, balanced=balanced)
    return TrainBatches(images, 3, order, augmentation, Preprocessing(16), CPU)


def test_repeated_pictures_of_an_epoch_are_changed_differently():
    (batch,) = train_batches(Augmentation(crop=0.3), batch_size=64, balanced=True).epoch(0)
    repeated = int(np.bincount(batch.sample_ids).argmax())
    first, second, *_ = batch.images[torch.from_numpy(batch.sample_ids == repeated)]
    assert not torch.equal(first, second)


def test_mixup_blends_each_picture_and_label_with_the_next_of_the_batch():
    batches = train_batches(Augmentation(mixup=1.0), batch_size=20)
    (mixed,) = batches.epoch(0)
    (pure,) = train_batches(Augmentation(), batch_size=20).epoch(0)
    (slots,) = batches.order.batches(0)
    lam = torch.from_numpy(batches.augmentation.draw(5, 0, 20)[1][slots]).view(-1, 1)
    assert np.array_equal(pure.target, batches.image_set.labels[pure.sample_ids])
    probs = torch.eye(3)[pure.target]
    for found, x, share in (
        (mixed.images, pure.images, lam.view(-1, 1, 1, 1)),
        (mixed.target, probs, lam),
    ):  # the last one is mixed with the first
        torch.testing.assert_close(found, share * x + (1 - share) * x.roll(-1, dims=0))


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_processes_share_a_batch_without_gap_or_overlap(mixup):
    """Mixup blends the last picture of a part with the first picture of the next process."""
    whole = train_batches(Augmentation(0.5, 1.3, 0.5, 10, 0.2, 0.2, 0.2, mixup))
    parts = [replace(whole, rank=rank, num_ranks=3) for rank in range(3)]
    for batch, *shares in zip(whole.epoch(1), *(part.epoch(1) for part in parts), strict=True):
        images = torch.cat([share.images for share in shares])
        torch.testing.assert_close(images, batch.images, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(torch.cat([share.target for share in shares]), batch.target)
        assert np.array_equal(np.concatenate([s.sample_ids for s in shares]), batch.sample_ids)


def test_validation_batches_show_every_picture_once_in_order():
    images = image_set(num=11, size=16)
    batches = list(val_batches(images, Preprocessing(16), CPU, batch_size=4))
    assert np.concatenate([b.sample_ids for b in batches]).tolist() == list(range(11))
    expected = Preprocessing(16).normalise(torch.from_numpy(images.images))
    torch.testing.assert_close(torch.cat([b.images for b in batches]), expected)


PLAIN = Preprocessing(32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))  # pixels from 0 to 1


def augmented(draws, augmentation, preprocessing=PLAIN):
    return augment(pictures(), augmentation.changes(draws), preprocessing)


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


def grey(x):
    return (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def corner(columns):
    def enlarged(x):
        return torch.nn.functional.interpolate(x[:, :, :16, columns], size=32, mode="bilinear")

    return enlarged


def test_no_augmentation_is_the_preprocessing():
    got = augmented(torch.rand(6, NUM_DRAWS), Augmentation(), Preprocessing(32))
    wanted = (pictures().permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    torch.testing.assert_close(Preprocessing(32).normalise(pictures()), wanted)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    assert got.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("columns", "augmentation", "wanted"),
    [
        ({"mirror": 0.2}, Augmentation(flip=0.5), lambda x: x.flip(3)),
        ({"mirror": 0.7}, Augmentation(flip=0.5), lambda x: x),
        ({"angle": 1.0}, Augmentation(rotation=90), lambda x: torch.rot90(x, 1, (2, 3))),
        ({"area": 0.0, "x": 0.0, "y": 0.0}, Augmentation(crop=0.25), corner(slice(0, 16))),
        ({"area": 0.0, "x": 1.0, "y": 0.0}, Augmentation(crop=0.25), corner(slice(16, 32))),
        ({"brightness": 1.0}, Augmentation(brightness=0.2), lambda x: 1.2 * x),
        ({"contrast": 0.0}, Augmentation(contrast=1.0), lambda x: grey(x).mean((2, 3), True)),
        ({"saturation": 0.0}, Augmentation(saturation=1.0), grey),
    ],
)
def test_one_change_by_its_definition(columns, augmentation, wanted):
    x = PLAIN.normalise(pictures())
    got = augmented(uniform(**columns), augmentation)
    # The last row of a crop may be read from outside, where the enlarged corner repeats its edge.
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(got[inner], wanted(x).expand_as(x)[inner], rtol=1e-3, atol=1e-3)


def test_draws_are_a_function_of_seed_and_epoch():
    augmentation = Augmentation(0.4, 1.5, 0.5, 20, 0.3, 0.3, 0.3)
    uniform, lam = augmentation.draw(seed=1, epoch=2, num_slots=10)
    assert np.array_equal(uniform, augmentation.draw(seed=1, epoch=2, num_slots=10)[0])
    assert not np.array_equal(uniform, augmentation.draw(1, 3, 10)[0])
    assert not np.array_equal(uniform, augmentation.draw(2, 2, 10)[0])
    assert (lam == 1).all()
    lam = Augmentation(mixup=1.0).draw(0, 0, 20_000)[1]  # Beta(1, 1) folded: uniform on [1/2, 1]
    assert 0.5 <= lam.min() and lam.max() <= 1
    assert math.isclose(lam.mean(), 0.75, abs_tol=0.005)
