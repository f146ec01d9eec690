"""Accuracy against coverage: how often the most confident answers are right, and which to keep.

Source: Geifman & El-Yaniv 2017, "Selective classification for deep neural networks".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crossent.evaluation.intervals import Floats, Interval, Z, wilson

SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)

Curve = list[tuple[float, float, float]]  # (threshold, coverage, accuracy), as model files keep it


@dataclass(frozen=True)
class Coverage:
    """Answers from the most confident on, one level of confidence after the other.

    Shape: all (M,), M at most N, as equally confident answers are kept or left together.
    """

    coverage: Floats  # share of the pictures answered, rising to 1
    accuracy: Floats  # of those answers
    threshold: Floats  # the least confidence among them
    num_images: int

    def at(self, share: float) -> tuple[Interval, float]:
        """Return the accuracy on at least this share of the pictures, and its threshold."""
        index = min(int(np.searchsorted(self.coverage, share - 1e-9)), len(self.coverage) - 1)
        count = round(self.coverage[index] * self.num_images)
        right = round(self.accuracy[index] * count)
        return wilson(right, count), float(self.threshold[index])


@dataclass(frozen=True)
class Promise:
    """What validation showed when only answers of at least this confidence were kept."""

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


def cover(confidence: Floats, right: npt.NDArray[np.bool_]) -> Coverage:
    """Sort the answers by confidence and count how many of the first are right.

    Args:
        confidence: the largest y of each picture.
        right: whether that class is the label.

    Shape:
        confidence (N,), right (N,); N at least 1.
    """
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    is_last = np.append(falling[1:] != falling[:-1], True)  # of those equally confident
    counts = np.arange(1, len(order) + 1)[is_last]
    num_right = np.cumsum(right[order])[is_last]
    return Coverage(counts / len(order), num_right / counts, falling[is_last], len(order))


def rejection_curve(
    confidence: Floats, right: npt.NDArray[np.bool_], num_points: int = 200
) -> Curve:
    """Return the curve that is stored with a model, the most confident answers first.

    Args:
        num_points: the most to give; of a longer curve, points at equal distances.

    Example:
        >>> rejection_curve(np.array([0.9, 0.5]), np.array([True, False]))
        [(0.9, 0.5, 1.0), (0.5, 1.0, 0.5)]
    """
    found = cover(confidence, right)
    num_levels = len(found.coverage)
    rows = np.linspace(0, num_levels - 1, min(num_points, num_levels)).round().astype(int)
    columns = (found.threshold, found.coverage, found.accuracy)
    return list(zip(*(column[rows].tolist() for column in columns), strict=True))


def keep_promise(curve: Sequence[Sequence[float]], num_images: int, accuracy: float) -> Promise:
    """Find the threshold that answers the most pictures with at least this accuracy.

    What counts is the lower end of the accuracy's 95 % interval: the accuracy itself was measured
    on the pictures that the threshold is chosen by, and is too high for a few lucky ones.

    Args:
        curve: as from `rejection_curve`.
        num_images: N, the pictures that it was measured on.
        accuracy: to promise, above 0 and below 1.

    Raises:
        ValueError: no threshold reached this accuracy, or too few pictures to tell.
    """
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracy is {accuracy:g}; expected a share above 0 and below 1")
    points = [Promise(y, coverage, right, num_images) for y, coverage, right in curve]
    enough = [point for point in points if point.interval[0] >= accuracy]
    if enough:
        return max(enough, key=lambda point: point.coverage)
    needed = math.ceil(Z**2 * accuracy / (1 - accuracy))  # Wilson's interval of n right of n
    if num_images < needed:
        raise ValueError(
            f"an accuracy of at least {accuracy:.1%} takes {needed} right answers to show, and "
            f"validation had {num_images} pictures"
        )
    best = max(points, key=lambda point: point.interval[0])
    raise ValueError(
        f"an accuracy of at least {accuracy:.1%} was not shown on the {num_images} pictures of "
        f"validation at any confidence: at best {best.accuracy:.1%} (95 % interval from "
        f"{best.interval[0]:.1%} on), on the {best.num_kept} most confident answers"
    )
