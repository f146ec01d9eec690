"""Which of two runs is better, and can one tell? Compared on the same pictures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossent.evaluation.intervals import Floats, Interval, Z, percentiles, resamples
from crossent.evaluation.scores import Ints, Outputs

Z_POWER = 0.8416212335729143  # 80 % of a normal distribution lie below so many deviations


@dataclass(frozen=True)
class Side:
    """A run, or several of the same settings with other seeds, on the same pictures."""

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
    """The second side minus the first."""

    first: str
    second: str
    num_images: int
    accuracy: Interval  # difference, as a share
    E: Interval  # difference, nats
    gained: Ints  # rows that only the second predicts correctly; of several runs, most of them
    lost: Ints  # rows that only the first predicts correctly
    p_value: float  # of equal accuracies
    more_pictures: int | None  # to show the difference of two runs, if there is one

    @property
    def distinguishable(self) -> bool:
        """Whether the interval of the difference in accuracy leaves out 0."""
        return self.accuracy.low > 0 or self.accuracy.high < 0

    @property
    def sentence(self) -> str:
        """The outcome in plain words."""
        sign = -1 if self.accuracy.value < 0 else 1
        better, worse = (self.second, self.first)[::sign]
        # + 0.0: no minus before a 0.0
        low, apart, high = sorted(round(sign * 100 * x, 1) + 0.0 for x in self.accuracy)
        if self.distinguishable:
            return (
                f"{better} is better: {apart:.1f} points more accurate than {worse} "
                f"({low:.1f} to {high:.1f})"
            )
        more = ""
        if self.more_pictures is not None:
            more = f"; about {self.more_pictures:,} more pictures would be needed"
        return (
            f"{better} and {worse} are {apart:.1f} points apart, {low:.1f} to {high:.1f}: "
            f"not distinguishable{more}"
        )


def compare(first: Side, second: Side) -> Comparison:
    """Compare two sides on the same pictures in the same order.

    Differences are taken picture by picture, so that what makes a picture hard for both cancels.
    p belongs to the interval of the accuracy: for two single runs both follow from the pictures
    gained and lost; for several runs both follow from the same draws, so that p is below 0.05
    where the 95 % interval leaves out 0.

    Raises:
        ValueError: the labels differ, so these are not the same pictures.
    """
    labels = first.runs[0].labels
    if any(not np.array_equal(run.labels, labels) for run in [*first.runs, *second.runs]):
        raise ValueError(f"{first.name} and {second.name} were measured on other pictures")
    was, now = first.right.mean(axis=0), second.right.mean(axis=0)  # (N,)
    gained = np.flatnonzero((now > 0.5) & (was <= 0.5))
    lost = np.flatnonzero((now <= 0.5) & (was > 0.5))
    if len(first.runs) == len(second.runs) == 1:
        accuracy = paired_interval(len(gained), len(lost), len(labels))
        p_value = mcnemar(len(gained), len(lost))
        more_pictures = pictures_missing(now - was)
    else:
        interval, p_value = paired_bootstrap(first.right, second.right)
        accuracy = interval.within(-1, 1)
        more_pictures = None  # more pictures do not reduce the spread of several runs
    return Comparison(
        first=first.name,
        second=second.name,
        num_images=len(labels),
        accuracy=accuracy,
        E=paired_bootstrap(first.losses, second.losses)[0],
        gained=gained,
        lost=lost,
        p_value=p_value,
        more_pictures=more_pictures,
    )


def paired_interval(gained: int, lost: int, num_images: int) -> Interval:
    """Return the difference of two accuracies on the same pictures.

    The normal interval with half a picture added to each of the four cells, which is right for few
    pictures too; without that, two runs that agree everywhere would be equal for certain.
    Source: Agresti & Min 2005, "Simple improved confidence intervals for comparing matched
    proportions".
    """
    changed, surplus, total = gained + lost + 1, gained - lost, num_images + 2
    middle = surplus / total
    reach = Z * math.sqrt(changed - surplus**2 / total) / total
    return Interval(surplus / num_images, middle - reach, middle + reach).within(-1, 1)


def mcnemar(gained: int, lost: int) -> float:
    """Return the probability of a change at least so uneven, if both sides are equally likely.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated
    proportions"; here exact, by the binomial distribution.

    Example:
        >>> mcnemar(1, 5)
        0.21875
    """
    changed = gained + lost
    term = tail = 1  # binomial coefficients, each from the last: fast for any number of pictures
    for k in range(min(gained, lost)):
        term = term * (changed - k) // (k + 1)
        tail += term
    return min(1.0, float(2 * tail / 2**changed))


def pictures_missing(differences: Floats) -> int | None:
    """Return how many more pictures would show this difference in four cases of five.

    n = ((z_95% + z_80%) s / d)^2 with s the standard deviation of the differences and d their mean,
    to two digits; None where the mean is 0 or there are enough already.
    """
    mean, deviation = float(differences.mean()), float(differences.std())
    if mean == 0:
        return None
    missing = ((Z + Z_POWER) * deviation / mean) ** 2 - len(differences)
    return None if missing < 1 else int(float(f"{missing:.1e}"))


def paired_bootstrap(first: Floats, second: Floats, seed: int = 0) -> tuple[Interval, float]:
    """Return the mean of the second (R', N) minus that of the first (R, N), and its p-value.

    Pictures and runs are drawn anew. p is the largest number such that the percentile interval of
    level 1 - p still holds 0.
    """
    differences = second.mean(axis=0) - first.mean(axis=0)
    blocks = [counts @ differences for counts in resamples(len(differences), seed)]
    draws = np.concatenate(blocks) / len(differences)
    draws += deviations([first, second], len(draws), np.random.default_rng(seed + 1))
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    p_value = min(1.0, 2 * max(beyond, 1) / len(draws))
    return percentiles(float(differences.mean()), draws), p_value


def deviations(sides: Sequence[Floats], num_draws: int, rng: np.random.Generator) -> Floats:
    """Draw the error of the difference of two (R, N) sides that comes from few runs: (num_draws,).

    t sqrt(v), with v the sum of s^2 / R over the sides and t from Student's distribution, since
    each s is measured on R runs only; drawing R runs with replacement would be too certain. The
    degrees of freedom are Welch's, v^2 / sum((s^2 / R)^2 / (R - 1)). A single run has no spread.

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
    drawn: Floats = math.sqrt(total) * rng.standard_t(freedom, num_draws)
    return drawn
