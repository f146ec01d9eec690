"""Numbers from counts of answers: exact sums over samples, divided once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Counts = Ints | Floats


@dataclass(frozen=True)
class Metrics:
    """What an evaluation found. Shape: confusion (K, K), rows true, columns predicted."""

    E: float  # nats, mean over the pictures
    confusion: Ints

    @property
    def num_images(self) -> int:
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.confusion)) / self.num_images

    @property
    def support(self) -> Ints:
        """(K,) pictures of each class."""
        support: Ints = self.confusion.sum(axis=1)
        return support

    @property
    def recall(self) -> Floats:
        """(K,) of the pictures of a class, the share that was found; nan without pictures."""
        return divide(self.confusion.diagonal(), self.support)

    @property
    def precision(self) -> Floats:
        """(K,) of the answers with a class, the share that was right; nan without answers."""
        return divide(self.confusion.diagonal(), self.confusion.sum(axis=0))

    @property
    def f1(self) -> Floats:
        """(K,) harmonic mean of precision and recall: 2 right / (pictures + answers)."""
        return f1_score(self.confusion.diagonal(), self.support, self.confusion.sum(axis=0))

    def most_confused(self) -> list[tuple[int, int, int]]:
        """(true, said, pictures) of every mistake that happened, the most frequent first."""
        wrong = self.confusion - np.diag(self.confusion.diagonal())
        pairs = [(int(i), int(j), int(wrong[i, j])) for i, j in np.argwhere(wrong)]
        return sorted(pairs, key=lambda pair: -pair[2])


def confusion_matrix(labels: Ints, predicted: Ints, num_classes: int) -> Ints:
    """Counts of (true, predicted) pairs.

    Shape:
        labels (N,), predicted (N,); returns (K, K), rows true, columns predicted.
    """
    pairs = labels * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def f1_score(right: Counts, pictures: Counts, answers: Counts) -> Floats:
    """2 right / (pictures + answers), nan where there are neither."""
    return divide(2 * right, pictures + answers)


def divide(numerator: Counts, denominator: Counts) -> Floats:
    """Elementwise, nan where there is nothing to divide by."""
    result: Floats = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
