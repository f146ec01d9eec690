"""Numbers from probabilities and labels: exact sums over samples, divided once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


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
        total = self.support + self.confusion.sum(axis=0)
        return divide(2 * self.confusion.diagonal(), total)

    def to_dict(self, class_names: list[str]) -> dict[str, Any]:
        """The object that `evaluate --json` prints; a number that does not exist is null."""
        columns = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        per_class = {
            name: {
                **{key: none_if_nan(column[k]) for key, column in columns.items()},
                "support": int(self.support[k]),
            }
            for k, name in enumerate(class_names)
        }
        return {
            "accuracy": self.accuracy,
            "E": self.E,
            "num_images": self.num_images,
            "class_names": class_names,
            "per_class": per_class,
            "confusion_matrix": self.confusion.tolist(),
        }


def confusion_matrix(labels: Ints, predicted: Ints, num_classes: int) -> Ints:
    """Counts of (true, predicted) pairs.

    Shape:
        labels (N,), predicted (N,); returns (K, K), rows true, columns predicted.
    """
    pairs = labels * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def divide(numerator: Ints, denominator: Ints) -> Floats:
    """Elementwise, nan where there is nothing to divide by."""
    result: Floats = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
