"""The answers of a model to a set of pictures: all measurements start here."""

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
