"""Compare two runs on the same pictures: which one is better, and is the difference real?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossent.evaluation.intervals import Floats, Interval, Z, percentiles, resamples
from crossent.evaluation.scores import Ints, Outputs


@dataclass(frozen=True)
class Side:
    """A run, or several runs that differ only in their seeds, on the same pictures."""

    name: str
    runs: Sequence[Outputs]

    @property
    def right(self) -> Floats:
        """(R, N) 1 where the prediction of a run is correct."""
        return np.stack([run.right for run in self.runs]).astype(np.float64)

    @property
    def losses(self) -> Floats:
        """(R, N) E of each picture, nats."""
        return np.stack([run.losses for run in self.runs])


@dataclass(frozen=True)
class Comparison:
    """The difference: the second side minus the first."""

    first: str
    second: str
    accuracy: Interval  # difference, as a share
    E: Interval  # difference, nats
    gained: Ints  # rows that only the second (or most of its runs) predicts correctly
    lost: Ints  # rows that only the first predicts correctly

    @property
    def distinguishable(self) -> bool:
        """Whether the interval of the difference in accuracy excludes 0."""
        return self.accuracy.low > 0 or self.accuracy.high < 0

    @property
    def sentence(self) -> str:
        """The outcome in plain words."""
        sign = -1 if self.accuracy.value < 0 else 1
        better, worse = (self.second, self.first)[::sign]
        # + 0.0 turns -0.0 into 0.0
        low, apart, high = sorted(round(sign * 100 * x, 1) + 0.0 for x in self.accuracy)
        span = f"{low:.1f} to {high:.1f}"
        if self.distinguishable:
            return f"{better} is better: {apart:.1f} points more accurate than {worse} ({span})"
        return f"{better} and {worse} are {apart:.1f} points apart, {span}: not distinguishable"


def compare(first: Side, second: Side) -> Comparison:
    """Compare two sides, measured on the same pictures in the same order.

    Differences are taken picture by picture, so the difficulty of a picture cancels. For two single
    runs, the interval of the accuracy follows from the numbers of pictures gained and lost.
    """
    by_first, by_second = first.right.mean(axis=0), second.right.mean(axis=0)  # (N,)
    gained = np.flatnonzero((by_second > 0.5) & (by_first <= 0.5))
    lost = np.flatnonzero((by_second <= 0.5) & (by_first > 0.5))
    if len(first.runs) == len(second.runs) == 1:
        accuracy = paired_interval(len(gained), len(lost), len(by_first))
    else:
        accuracy = paired_bootstrap(first.right, second.right)
    E = paired_bootstrap(first.losses, second.losses)
    return Comparison(first.name, second.name, accuracy.within(-1, 1), E, gained, lost)


def paired_interval(gained: int, lost: int, num_images: int) -> Interval:
    """Return the difference of two accuracies on the same pictures, with its interval.

    This is the normal interval with half a picture added to each of the four cells, which makes it
    valid for few pictures too. Otherwise the interval of two runs that agree would be 0 to 0.
    Source: Agresti & Min 2005, "Simple improved confidence intervals for comparing matched
    proportions".
    """
    changed, surplus, total = gained + lost + 1, gained - lost, num_images + 2
    middle = surplus / total
    reach = Z * math.sqrt(changed - surplus**2 / total) / total
    return Interval(surplus / num_images, middle - reach, middle + reach)


def paired_bootstrap(first: Floats, second: Floats, seed: int = 0) -> Interval:
    """Return the mean of the second (R', N) minus that of the first (R, N).

    Pictures are resampled; `deviations` draws the error of having few runs.
    """
    differences = second.mean(axis=0) - first.mean(axis=0)
    blocks = [counts @ differences for counts in resamples(len(differences), seed)]
    draws = np.concatenate(blocks) / len(differences)
    draws += deviations([first, second], len(draws), np.random.default_rng(seed + 1))
    return percentiles(float(differences.mean()), draws)


def deviations(sides: Sequence[Floats], num_draws: int, rng: np.random.Generator) -> Floats:
    """Draw the error (num_draws,) that few runs add to the difference of two sides (R, N).

    The error is t sqrt(v). v is the sum of s^2 / R over the sides, with s the standard deviation of
    the means of a side's runs. t has Student's distribution, because each s comes from R runs only.
    (Resampling R runs would give too small an interval.) The degrees of freedom are Welch's,
    v^2 / sum((s^2 / R)^2 / (R - 1)). A single run adds no error.

    Source: Welch 1947, "The generalization of 'Student's' problem when several different
    population variances are involved".
    """
    means = [side.mean(axis=1) for side in sides if len(side) > 1]
    variances = [float(m.var(ddof=1)) / len(m) for m in means]
    total = sum(variances)
    if total == 0:
        return np.zeros(num_draws)
    parts = zip(means, variances, strict=True)
    freedom = 1 / sum((v / total) ** 2 / (len(m) - 1) for m, v in parts)
    return np.asarray(math.sqrt(total) * rng.standard_t(freedom, num_draws))
