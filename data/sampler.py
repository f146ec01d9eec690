"""Which samples an epoch shows, and in which order: a pure function of (seed, epoch)."""

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]


def generator(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    """Return a generator of these arguments alone; purposes never share a stream."""
    return np.random.default_rng([seed, epoch, purpose])


class EpochSampler:
    """Cuts every epoch into batches of sample ids.

    An epoch shows each of its M slots once, with an augmentation of its own: one slot a sample, or,
    if balanced, as many slots a class as the largest has pictures, shared by its pictures.
    Batches of `batch_size` at most differ by one sample at most: a short last batch would weigh
    its samples more.
    """

    ORDER, FILL = 0, 1  # purposes of the generators

    def __init__(
        self, labels: npt.NDArray[np.int64], batch_size: int, seed: int, balanced: bool = False
    ) -> None:
        self.labels = labels
        self.seed = seed
        self.balanced = balanced
        counts = np.bincount(labels)
        self.num_slots = int(counts.max() * np.count_nonzero(counts)) if balanced else len(labels)
        self.num_batches = -(-self.num_slots // batch_size)

    def sample_ids(self, epoch: int) -> Ids:
        """(M,) the sample in each slot."""
        if not self.balanced:
            return np.arange(self.num_slots)
        rng = generator(self.seed, epoch, self.FILL)
        members = [np.flatnonzero(self.labels == k) for k in np.unique(self.labels)]
        size = max(len(ids) for ids in members)
        filled = []
        for ids in members:  # each as often as the others of its class, give or take one
            whole, rest = divmod(size, len(ids))
            filled += [np.tile(ids, whole), rng.permutation(ids)[:rest]]
        return np.concatenate(filled)

    def batches(self, epoch: int) -> list[Ids]:
        """The slots of each batch, in the order of training."""
        order = generator(self.seed, epoch, self.ORDER).permutation(self.num_slots)
        return np.array_split(order, self.num_batches)
