"""Risk against coverage: how accurate is the model on the pictures it is surest of?"""

from dataclasses import dataclass

import numpy as np

from crossent.evaluation.intervals import Floats, Interval, wilson
from crossent.evaluation.outputs import Outputs

SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)


@dataclass(frozen=True)
class Coverage:
    """Answers taken from the surest on, one level of confidence after the other.

    Shape: all (M,), M at most N, as answers that are equally sure come in together.
    """

    coverage: Floats  # share of the pictures answered, rising to 1
    accuracy: Floats  # of those answers
    threshold: Floats  # the least confidence among them
    num_images: int

    @property
    def area(self) -> float:
        """The mean error rate over all coverages (AURC); 0 is best."""
        steps = np.diff(self.coverage, prepend=0.0)
        return float(((1 - self.accuracy) * steps).sum())

    def at(self, share: float) -> tuple[Interval, float]:
        """The accuracy on at least this share of the pictures, and the confidence to ask for."""
        index = min(int(np.searchsorted(self.coverage, share - 1e-9)), len(self.coverage) - 1)
        count = round(self.coverage[index] * self.num_images)
        right = round(self.accuracy[index] * count)
        return wilson(right, count), float(self.threshold[index])


def cover(outputs: Outputs) -> Coverage:
    """Sort the answers from sure to unsure and count how many of the first are right.

    Source: Geifman & El-Yaniv 2017, "Selective classification for deep neural networks".
    """
    order = np.argsort(-outputs.confidence, kind="stable")
    confidence = outputs.confidence[order]
    is_last = np.append(confidence[1:] != confidence[:-1], True)  # of those equally sure
    counts = np.arange(1, len(outputs) + 1)[is_last]
    right = np.cumsum(outputs.right[order])[is_last]
    return Coverage(counts / len(outputs), right / counts, confidence[is_last], len(outputs))
