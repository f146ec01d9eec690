from dataclasses import replace

import numpy as np
import pytest
import torch

from data.augment import Augmentation
from data.batches import TrainBatches, mix, val_batches
from data.images import ImageSet
from data.preprocess import Preprocessing
from data.sampler import EpochSampler

CPU = torch.device("cpu")
LABELS = np.array([0] * 7 + [1] * 3 + [2] * 10)


@pytest.mark.parametrize("batch_size", [1, 3, 20, 64])
def test_natural_order_shows_every_sample_once(batch_size):
    order = EpochSampler(LABELS, batch_size, seed=0)
    batches = order.batches(epoch=4)
    assert len(batches) == order.num_batches == -(-20 // batch_size)
    assert sorted(np.concatenate(batches)) == list(range(20))
    assert max(map(len, batches)) - min(map(len, batches)) <= 1
    assert np.array_equal(order.sample_ids(4), np.arange(20))


def test_order_depends_on_seed_and_epoch_only():
    def first(seed, epoch):
        return EpochSampler(LABELS, 20, seed).batches(epoch)[0].tolist()

    assert first(0, 3) == first(0, 3)
    assert first(0, 3) != first(0, 4)
    assert first(0, 3) != first(1, 3)
    assert first(0, 1) != first(1, 0)


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


@pytest.mark.parametrize("balanced", [False, True], ids=["natural", "balanced"])
@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_an_epoch_started_in_the_middle_gives_the_same_bits(mixup, balanced):
    changes = Augmentation(0.5, 1.3, 0.5, 10, 0.2, 0.2, 0.2, mixup)
    batches = train_batches(changes, balanced=balanced)
    whole, rest = list(batches.epoch(3)), list(batches.epoch(3, start=2))
    assert len(whole) == len(batches)
    if not mixup:
        assert np.array_equal(whole[0].target, batches.image_set.labels[whole[0].sample_ids])
    for expected, got in zip(whole[2:], rest, strict=True):
        assert np.array_equal(expected.sample_ids, got.sample_ids)
        assert torch.equal(expected.images, got.images)
        assert torch.equal(expected.target, got.target)


def test_repeated_pictures_of_an_epoch_are_changed_differently():
    labels = np.array([0, 1, 1, 1, 1])
    images = ImageSet(image_set(5).images, labels, list("abcde"))
    order = EpochSampler(labels, 8, seed=0, balanced=True)
    batches = TrainBatches(images, 2, order, Augmentation(crop=0.3), Preprocessing(16), CPU)
    (batch,) = batches.epoch(0)
    first, second, *_ = batch.images[torch.from_numpy(batch.sample_ids == 0)]
    assert not torch.equal(first, second)


def test_mix_blends_with_the_next_picture_and_label():
    images = torch.rand(4, 3, 4, 4)
    lam = torch.tensor([1.0, 0.75, 0.5])
    mixed, target = mix(images, torch.tensor([0, 1, 2, 0]), lam, num_classes=3)
    torch.testing.assert_close(mixed[0], images[0])
    torch.testing.assert_close(mixed[1], 0.75 * images[1] + 0.25 * images[2])
    torch.testing.assert_close(mixed[2], 0.5 * images[2] + 0.5 * images[3])
    expected = torch.tensor([[1.0, 0, 0], [0, 0.75, 0.25], [0.5, 0, 0.5]])
    torch.testing.assert_close(target, expected)


def test_the_last_picture_of_a_batch_is_mixed_with_the_first():
    batches = train_batches(Augmentation(mixup=1.0), batch_size=20)
    plain = train_batches(Augmentation(), batch_size=20)
    (mixed,), (pure,) = batches.epoch(0), plain.epoch(0)
    (slots,) = batches.order.batches(0)
    lam = float(batches.augmentation.draw(5, 0, 20)[1][slots[-1]])
    expected = lam * pure.images[-1] + (1 - lam) * pure.images[0]
    torch.testing.assert_close(mixed.images[-1], expected)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
@pytest.mark.parametrize("num_ranks", [2, 3])
def test_processes_share_a_batch_without_gap_or_overlap(num_ranks, mixup):
    """Mixup blends the last picture of a part with the first picture of the next process."""
    whole = train_batches(Augmentation(0.5, 1.3, 0.5, 10, 0.2, 0.2, 0.2, mixup))
    parts = [replace(whole, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    for batch, *shares in zip(whole.epoch(1), *(part.epoch(1) for part in parts), strict=True):
        images = torch.cat([share.images for share in shares])
        torch.testing.assert_close(images, batch.images, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(torch.cat([share.target for share in shares]), batch.target)
        assert np.array_equal(np.concatenate([s.sample_ids for s in shares]), batch.sample_ids)


def test_validation_batches_show_every_picture_once_in_order():
    images = image_set(num=11, size=16)
    batches = list(val_batches(images, Preprocessing(16), CPU, batch_size=4))
    assert np.concatenate([b.sample_ids for b in batches]).tolist() == list(range(11))
    expected = (torch.from_numpy(images.images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    torch.testing.assert_close(torch.cat([b.images for b in batches]), expected)
