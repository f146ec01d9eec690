"""When to say "not sure": which confidence kept which accuracy, on pictures with known labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crossent.evaluation.intervals import wilson

Curve = list[tuple[float, float, float]]


@dataclass(frozen=True)
class Promise:
    """What was seen on validation when only answers of at least this confidence were kept."""

    threshold: float  # the largest y that an answer needs
    coverage: float  # share of the pictures that were answered
    accuracy: float  # of those answers
    num_images: int  # pictures that were asked about

    @property
    def num_kept(self) -> int:
        return round(self.coverage * self.num_images)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy."""
        found = wilson(round(self.accuracy * self.num_kept), self.num_kept)
        return found.low, found.high


def rejection_curve(
    confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], num_points: int = 200
) -> Curve:
    """The accuracy of the surest answers: (threshold, coverage, accuracy), surest first.

    Answers of equal confidence are kept or left together.
    Source: Geifman & El-Yaniv 2017, "Selective classification for deep neural networks".

    Args:
        confidence: the largest y of each picture.
        right: whether that class is the label.
        num_points: the most to give; of a longer curve, points at equal distances.

    Shape:
        confidence (N,), right (N,); N at least 1.

    Example:
        >>> import numpy as np
        >>> rejection_curve(np.array([0.9, 0.5]), np.array([True, False]))
        [(0.9, 0.5, 1.0), (0.5, 1.0, 0.5)]
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    last_of_equals = np.flatnonzero(np.append(np.diff(sorted_confidence) != 0, True))
    spread = np.linspace(0, len(last_of_equals) - 1, min(num_points, len(last_of_equals)))
    rows = last_of_equals[spread.round().astype(int)]
    num_right = np.cumsum(right[order])[rows]
    columns = (sorted_confidence[rows], (rows + 1) / len(order), num_right / (rows + 1))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def keep_promise(curve: Sequence[Sequence[float]], num_images: int, accuracy: float) -> Promise:
    """The threshold that answers most pictures with at least this accuracy on those it answers.

    An accuracy of 0.95 is a statement about 20 answers or more: of fewer, a single mistake would
    break it, and that none was seen says little.

    Args:
        curve: as from `rejection_curve`.
        num_images: N, the pictures that it was measured on.
        accuracy: to promise, above 0 and below 1.

    Raises:
        ValueError: no threshold kept this accuracy, or too few pictures to tell.
    """
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracy is {accuracy:g}; expected a share above 0 and below 1")
    points = [Promise(y, coverage, right, num_images) for y, coverage, right in curve]
    needed = math.ceil(round(1 / (1 - accuracy), 6))
    countable = [point for point in points if point.num_kept >= needed]
    if not countable:
        raise ValueError(
            f"an accuracy of {accuracy:.1%} takes {needed} answers to measure, and validation had "
            f"{num_images} pictures"
        )
    enough = [point for point in countable if point.accuracy >= accuracy]
    if not enough:
        best = max(countable, key=lambda point: point.accuracy)
        raise ValueError(
            f"an accuracy of {accuracy:.1%} was not reached on the {num_images} pictures of "
            f"validation, however sure the model was: at most {best.accuracy:.1%}, on the surest "
            f"{best.num_kept}"
        )
    return max(enough, key=lambda point: point.coverage)
