"""What a model said of a set of pictures: everything that is measured of it starts here."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from crossent.loss import cross_entropy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Outputs:
    """Shape: logits (N, K) float64, labels (N,) class indices."""

    logits: Floats
    labels: Ints

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        return int(self.logits.shape[1])

    @cached_property
    def losses(self) -> Floats:
        """(N,) E of each picture in nats: the plain cross-entropy, without smoothing or weights."""
        logits, labels = torch.from_numpy(self.logits), torch.from_numpy(self.labels)
        losses: Floats = cross_entropy(logits, labels, reduction="none").numpy()
        return losses

    @property
    def log_probs(self) -> Floats:
        """(N, K) log y: no y is so small that it would be 0."""
        return self.logits - np.logaddexp.reduce(self.logits, axis=1, keepdims=True)

    @cached_property
    def probs(self) -> Floats:
        """(N, K) y, each row adds up to 1."""
        exponentials = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        probs: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
        return probs

    @cached_property
    def predicted(self) -> Ints:
        """(N,) the class with the largest y."""
        predicted: Ints = self.logits.argmax(axis=1)
        return predicted

    @cached_property
    def confidence(self) -> Floats:
        """(N,) the largest y."""
        confidence: Floats = self.probs.max(axis=1)
        return confidence

    @cached_property
    def right(self) -> Bools:
        """(N,) whether the class with the largest y is the label."""
        right: Bools = self.predicted == self.labels
        return right

    def at_temperature(self, temperature: float | Floats) -> "Outputs":
        """The same answers with logits z / T.

        Args:
            temperature: T, one number or (N,) one for each picture.
        """
        divisor = np.broadcast_to(temperature, self.labels.shape)
        return Outputs(self.logits / divisor[:, None], self.labels)

    def rows(self, ids: Ints | Sequence[int]) -> "Outputs":
        """Of some of the pictures."""
        return Outputs(self.logits[ids], self.labels[ids])
