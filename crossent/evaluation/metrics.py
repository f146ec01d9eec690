"""Numbers from counts of answers: exact sums over samples, divided once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Counts = Ints | Floats


@dataclass(frozen=True)
class Metrics:
    """E and the confusion matrix. Shape: confusion (K, K), rows true, columns predicted."""

    E: float  # nats, mean over the pictures
    confusion: Ints

    @property
    def num_images(self) -> int:
        return int(self.confusion.sum())

    @property
    def support(self) -> Ints:
        """(K,) pictures of each class."""
        support: Ints = self.confusion.sum(axis=1)
        return support

    def most_confused(self) -> list[tuple[int, int, int]]:
        """Return (true, predicted, pictures) of each kind of mistake, the most frequent first."""
        wrong = self.confusion - np.diag(self.confusion.diagonal())
        pairs = [(int(i), int(j), int(wrong[i, j])) for i, j in np.argwhere(wrong)]
        return sorted(pairs, key=lambda pair: -pair[2])


def confusion_matrix(labels: Ints, predicted: Ints, num_classes: int) -> Ints:
    """Count (true, predicted) pairs.

    Shape:
        labels (N,), predicted (N,); returns (K, K), rows true, columns predicted.
    """
    pairs = labels * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def f1_score(right: Counts, pictures: Counts, answers: Counts) -> Floats:
    """Return 2 right / (pictures + answers), nan where there are neither."""
    return divide(2 * right, pictures + answers)


def divide(numerator: Counts, denominator: Counts) -> Floats:
    """Divide elementwise, nan where there is nothing to divide by."""
    result: Floats = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
