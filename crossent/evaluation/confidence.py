"""Calibration (is confidence the share of correct predictions?) and selective prediction.

Sources: Guo et al. 2017, "On calibration of modern neural networks"; Geifman & El-Yaniv 2017,
"Selective classification for deep neural networks".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossent.evaluation.intervals import Floats, Interval, Z, wilson
from crossent.evaluation.scores import Bools, Outputs

NUM_BINS = 10

Curve = list[tuple[float, float, float]]  # (threshold, coverage, accuracy), as in model files


def calibration(outputs: Outputs) -> str:
    """Compare the mean confidence with the accuracy: a calibrated model has the same for both."""
    confidence = float(outputs.confidence.mean())
    accuracy = wilson(int(outputs.right.sum()), len(outputs))
    verdict = "the difference may be due to chance"
    if not accuracy.low <= confidence <= accuracy.high:
        verdict = f"the model is {'over' if confidence > accuracy.value else 'under'}confident"
    return f"Mean confidence {confidence:.1%}, accuracy {accuracy.text('.1%')}: {verdict}"


def reliability(outputs: Outputs) -> Floats:
    """Return mean confidence and accuracy for each tenth of the confidence that has pictures.

    Shape:
        returns (bins, 4): confidence, accuracy and the two ends of its interval.
    """
    # exactly 1 is in the last bin
    bins = np.minimum((outputs.confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    rows = []
    for members in (bins == number for number in np.unique(bins)):
        accuracy = wilson(int(outputs.right[members].sum()), int(members.sum()))
        rows.append([outputs.confidence[members].mean(), *accuracy])
    return np.array(rows)


@dataclass(frozen=True)
class Kept:
    """The result on N pictures if only predictions with at least some confidence are kept."""

    threshold: float  # the lowest confidence that is kept
    coverage: float  # share of the pictures that are kept
    accuracy: float  # of the predictions that are kept
    num_images: int  # N

    @property
    def num_kept(self) -> int:
        return round(self.coverage * self.num_images)

    @property
    def interval(self) -> Interval:
        """The accuracy with its interval."""
        return wilson(round(self.accuracy * self.num_kept), self.num_kept)


def rejection_curve(confidence: Floats, right: Bools, num_points: int = 200) -> Curve:
    """Return the accuracy of the most confident predictions, for each number of them.

    Equally confident predictions are kept or left out together. A model file contains this curve.

    Args:
        num_points: the maximum length; a longer curve is thinned to evenly spaced points.

    Shape:
        confidence (N,) the largest y of each picture, right (N,); N at least 1.

    Example:
        >>> rejection_curve(np.array([0.9, 0.5]), np.array([True, False]))
        [(0.9, 0.5, 1.0), (0.5, 1.0, 0.5)]
    """
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    is_last = np.append(falling[1:] != falling[:-1], True)  # of those equally confident
    counts = np.arange(1, len(order) + 1)[is_last]
    columns = (falling[is_last], counts / len(order), np.cumsum(right[order])[is_last] / counts)
    rows = np.linspace(0, len(counts) - 1, min(num_points, len(counts))).round().astype(int)
    return list(zip(*(column[rows].tolist() for column in columns), strict=True))


def keep_with_accuracy(curve: Sequence[Sequence[float]], num_images: int, accuracy: float) -> Kept:
    """Return the threshold that keeps the most pictures with at least this accuracy.

    The lower end of the 95 % interval must reach the accuracy. The measured accuracy itself is
    optimistic, because the same pictures choose the threshold.

    Args:
        curve: from `rejection_curve`, measured on `num_images` pictures.
        accuracy: the accuracy to promise, above 0 and below 1.

    Raises:
        ValueError: the accuracy is out of range, or no threshold reaches it.
    """
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracy is {accuracy:g}; expected a share above 0 and below 1")
    points = [Kept(y, coverage, right, num_images) for y, coverage, right in curve]
    enough = [point for point in points if point.interval.low >= accuracy]
    if enough:
        return max(enough, key=lambda point: point.coverage)
    best = max(points, key=lambda point: point.interval.low)
    needed = math.ceil(Z**2 * accuracy / (1 - accuracy))  # by Wilson's interval for n of n
    raise ValueError(
        f"no threshold has an accuracy whose 95 % interval begins at {accuracy:.1%} or above: even "
        f"without a mistake, this takes {needed} pictures; of {num_images} in validation, the "
        f"{best.num_kept} most confident have {best.interval.text('.1%')}"
    )
