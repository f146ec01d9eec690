"""The samples of an epoch and their order, a pure function of (seed, epoch)."""

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]


def generator(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    """Return a random generator, determined by the arguments; each purpose has its own stream."""
    return np.random.default_rng([seed, epoch, purpose])


class EpochSampler:
    """The batches of sample ids of every epoch.

    An epoch has M slots, each with its own augmentation: one slot per sample, or, if balanced, as
    many slots per class as the largest class has pictures. Batches have at most `batch_size` slots
    and differ by at most one: in a short last batch, each sample would have too large a weight.
    """

    ORDER, FILL = 0, 1  # purposes of the generators

    def __init__(self, labels: Ids, batch_size: int, seed: int, balanced: bool = False) -> None:
        self.labels = labels
        self.seed = seed
        self.balanced = balanced
        counts = np.bincount(labels)
        self.num_slots = int(counts.max() * np.count_nonzero(counts)) if balanced else len(labels)
        self.num_batches = -(-self.num_slots // batch_size)

    def sample_ids(self, epoch: int) -> Ids:
        """Return (M,) the sample in each slot."""
        if not self.balanced:
            return np.arange(self.num_slots)
        rng = generator(self.seed, epoch, self.FILL)
        members = [np.flatnonzero(self.labels == k) for k in np.unique(self.labels)]
        size = max(len(ids) for ids in members)
        filled = []
        for ids in members:  # the samples of a class differ by one slot at most
            whole, rest = divmod(size, len(ids))
            filled += [np.tile(ids, whole), rng.permutation(ids)[:rest]]
        return np.concatenate(filled)

    def batches(self, epoch: int) -> list[Ids]:
        """Return the slots of each batch, in the order of training."""
        order = generator(self.seed, epoch, self.ORDER).permutation(self.num_slots)
        return np.array_split(order, self.num_batches)
