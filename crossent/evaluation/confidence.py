"""Calibration: is the model correct as often as its confidence says? Which predictions to keep?

Sources: Guo et al. 2017, "On calibration of modern neural networks"; Geifman & El-Yaniv 2017,
"Selective classification for deep neural networks".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossent.evaluation.intervals import (
    NUM_RESAMPLES,
    Floats,
    Interval,
    Z,
    bootstrap,
    percentiles,
    wilson,
)
from crossent.evaluation.scores import Bools, Outputs

NUM_BINS = 10
MAX_TEMPERATURE = 100.0  # and its inverse: a model that is always right would get T = 0
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # of the pictures, the most confident predictions first

Curve = list[tuple[float, float, float]]  # (threshold, coverage, accuracy), as model files keep it


@dataclass(frozen=True)
class Bin:
    """The pictures whose confidence lies in one tenth of 0 to 1."""

    count: int
    confidence: float  # mean
    accuracy: Interval


@dataclass(frozen=True)
class Calibration:
    """The calibration error, and the temperature of the logits that gives the smallest E."""

    before: Interval  # ECE with T = 1
    by_chance: Interval  # ECE of a calibrated model on as many pictures
    temperature: float  # T, fitted on all pictures; above 1 if the model is overconfident
    bins: list[Bin]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        return {
            "ece": self.before.to_dict(),
            "ece_by_chance": self.by_chance.to_dict(),
            "temperature": self.temperature,
        }


def calibrate(outputs: Outputs) -> Calibration:
    """Measure the calibration."""
    return Calibration(
        before=expected_calibration_error(outputs),
        by_chance=error_by_chance(outputs),
        temperature=fit_temperature(outputs),
        bins=reliability(outputs),
    )


def expected_calibration_error(outputs: Outputs) -> Interval:
    """Return ECE = sum over the bins of (pictures in it / N) |mean confidence - accuracy|.

    The interval is the bootstrap's. Resampling adds noise to every bin, so for few pictures it
    lies high: read it with `error_by_chance`.
    """
    gaps = (outputs.confidence - outputs.right)[:, None] * in_bin(outputs)  # (N, bins)
    [interval] = bootstrap(
        lambda counts: np.abs(counts @ gaps).sum(axis=1, keepdims=True) / len(outputs), len(outputs)
    )
    return interval


def error_by_chance(outputs: Outputs) -> Interval:
    """Return the ECE, with 95 % of its values, if each answer were right as often as it states.

    Source: Bröcker & Smith 2007, "Increasing the reliability of reliability diagrams".
    """
    rng = np.random.default_rng(0)
    bins = in_bin(outputs)
    num_draws = min(NUM_RESAMPLES, max(20, 4_000_000 // len(outputs)))
    errors = []
    for _ in range(num_draws):
        right = rng.random(len(outputs)) < outputs.confidence
        errors.append(np.abs((outputs.confidence - right) @ bins).sum() / len(outputs))
    return percentiles(float(np.mean(errors)), np.array(errors))


def in_bin(outputs: Outputs) -> Floats:
    """Return (N, bins) one-hot; a confidence of exactly 1 belongs to the last bin."""
    index = np.minimum((outputs.confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    one_hot: Floats = np.eye(NUM_BINS)[index]
    return one_hot


def reliability(outputs: Outputs) -> list[Bin]:
    """Return the bins that have pictures, from the least to the most confident."""
    found = []
    for members in in_bin(outputs).T.astype(bool):
        count = int(members.sum())
        if count:
            mean = float(outputs.confidence[members].mean())
            found.append(Bin(count, mean, wilson(int(outputs.right[members].sum()), count)))
    return found


def fit_temperature(outputs: Outputs) -> float:
    """Return the T > 0 whose logits z / T give the smallest E.

    E is convex in 1/T, so its slope changes sign once: sixty halvings find where.
    """
    low, high = 1 / MAX_TEMPERATURE, MAX_TEMPERATURE  # of 1/T
    if slope(outputs, 1.0) == 0:  # the logits of all classes are equal: T does not matter
        return 1.0
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(outputs, middle) > 0 else (middle, high)
    return 1 / math.sqrt(low * high)


def slope(outputs: Outputs, inverse: float) -> float:
    """Return dE/da of the logits a z: the mean of sum_k (y_k - t_k) z_k."""
    z = outputs.logits
    y = Outputs(inverse * z, outputs.labels).probs
    return float(((y * z).sum(axis=1) - z[np.arange(len(z)), outputs.labels]).mean())


@dataclass(frozen=True)
class Kept:
    """The result on N pictures if only predictions of at least some confidence are kept."""

    threshold: float  # the least confidence
    coverage: float  # share of the pictures that are kept
    accuracy: float  # of these predictions
    num_images: int  # N

    @property
    def num_kept(self) -> int:
        return round(self.coverage * self.num_images)

    @property
    def interval(self) -> Interval:
        """The accuracy with its interval."""
        return wilson(round(self.accuracy * self.num_kept), self.num_kept)


def rejection_curve(confidence: Floats, right: Bools, num_points: int = 200) -> Curve:
    """Count how many of the most confident predictions are correct, as is stored with a model.

    Equally confident predictions are kept or left together.

    Args:
        num_points: the most to give; of a longer curve, points at equal distances.

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


def keep_shares(outputs: Outputs) -> dict[float, Kept]:
    """Return the result of keeping at least each of SHARES of the pictures."""
    num = len(outputs)
    curve = rejection_curve(outputs.confidence, outputs.right, num)
    return {s: next(Kept(*p, num) for p in curve if p[1] >= s - 1e-9) for s in SHARES}


def keep_promise(curve: Sequence[Sequence[float]], num_images: int, accuracy: float) -> Kept:
    """Return the threshold that keeps the most pictures with at least this accuracy.

    The lower end of the 95 % interval decides: the accuracy itself was measured on the pictures
    that the threshold is chosen by, and is too high for a few lucky ones.

    Args:
        curve: as from `rejection_curve`, measured on `num_images` pictures.
        accuracy: to promise, above 0 and below 1.

    Raises:
        ValueError: no threshold reached this accuracy, or too few pictures to tell.
    """
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracy is {accuracy:g}; expected a share above 0 and below 1")
    points = [Kept(y, coverage, right, num_images) for y, coverage, right in curve]
    enough = [point for point in points if point.interval.low >= accuracy]
    if enough:
        return max(enough, key=lambda point: point.coverage)
    needed = math.ceil(Z**2 * accuracy / (1 - accuracy))  # Wilson's interval of n right of n
    if num_images < needed:
        raise ValueError(
            f"an accuracy of at least {accuracy:.1%} takes {needed} right answers to show, and "
            f"validation had {num_images} pictures"
        )
    best = max(points, key=lambda point: point.interval.low)
    raise ValueError(
        f"an accuracy of at least {accuracy:.1%} was not shown on the {num_images} pictures of "
        f"validation at any confidence: at best {best.accuracy:.1%} (95 % interval from "
        f"{best.interval.low:.1%} on), on the {best.num_kept} most confident answers"
    )
