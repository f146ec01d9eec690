import numpy as np
import pytest

from data.sampler import EpochSampler

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
    assert order.sample_ids(1).tolist() != ids.tolist()  # others are shown once more next time
    assert sorted(np.concatenate(order.batches(0))) == list(range(30))
    lacking = EpochSampler(np.array([0, 2, 2]), 2, seed=0, balanced=True)  # no class 1
    assert sorted(lacking.sample_ids(0)) == [0, 0, 1, 2]
