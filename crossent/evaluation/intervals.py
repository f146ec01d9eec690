"""95 % intervals: Wilson's for shares and F1, the bootstrap for other numbers."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Z = 1.959963984540054  # 95 % of a normal distribution are within this many standard deviations
QUANTILES = (0.025, 0.975)
NUM_RESAMPLES = 2000
HUGE = 1e6
MAX_NUMBERS = 250_000  # in a block of resamples: 2 MB


class Interval(NamedTuple):
    """A measured value, and a range that contains the true value in 95 of 100 measurements."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float] | None:
        """Return the numbers for JSON; None where there is nothing to measure."""
        return None if math.isnan(self.value) else self._asdict()

    def text(self, form: str) -> str:
        """Return the value and its interval, such as "0.842 (0.801 to 0.876)"."""
        if math.isnan(self.value):
            return "-"
        return f"{format_number(self.value, form)} ({self.range(form)})"

    def range(self, form: str) -> str:
        """Return the interval alone, such as "0.801 to 0.876"."""
        return f"{format_number(self.low, form)} to {format_number(self.high, form)}"

    def within(self, low: float, high: float) -> "Interval":
        """Clip the interval to possible values, such as 0 to 1 for a share."""
        return Interval(self.value, max(low, self.low), min(high, self.high))


def format_number(value: float, form: str) -> str:
    """Format a number, in few digits if it is huge, as E is after training diverged."""
    return f"{value:{form}}" if abs(value) < HUGE else f"{value:.3g}"


def wilson(successes: int, count: int) -> Interval:
    """Return the share of successes, such as an accuracy, with Wilson's interval.

    (p + z^2/2n -+ z sqrt(p (1 - p) / n + z^2/4n^2)) / (1 + z^2/n). The interval is valid near 0
    and 1 and for few pictures, too. Without pictures it is nan.
    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Example:
        >>> wilson(9, 10).text(".2f")
        '0.90 (0.60 to 0.98)'
    """
    if count == 0:
        return Interval(math.nan, math.nan, math.nan)
    share, square = successes / count, Z**2 / count
    middle = share + square / 2
    reach = math.sqrt(share * (1 - share) * square + square**2 / 4)
    low, high = (middle - reach) / (1 + square), (middle + reach) / (1 + square)
    return Interval(share, min(max(0.0, low), share), max(min(1.0, high), share))


def f1_interval(right: int, pictures: int, predictions: int) -> Interval:
    """Return F1 = 2 right / (pictures + predictions) of a class, with its interval.

    n = pictures + predictions - right pictures are of the class or predicted as it. A share g =
    right / n of them is both, and F1 = 2 g / (1 + g). So Wilson's interval of g gives that of F1.
    For right = 0 the bootstrap's interval would be 0 to 0.

    Args:
        right: pictures of the class that are predicted correctly.
        pictures: pictures of the class.
        predictions: predictions of the class.
    """
    share = wilson(right, pictures + predictions - right)
    return Interval(*(2 * g / (1 + g) for g in share))


def resamples(num_pictures: int, seed: int = 0) -> Iterator[Floats]:
    """Draw N of the N pictures with replacement, NUM_RESAMPLES times.

    Yields:
        blocks (B, N): how often each picture is in each resample; rows add up to N.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, MAX_NUMBERS // num_pictures)
    for first in range(0, NUM_RESAMPLES, at_once):
        num_rows = min(at_once, NUM_RESAMPLES - first)
        drawn = rng.integers(0, num_pictures, (num_rows, num_pictures))
        drawn += num_pictures * np.arange(num_rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=drawn.size)
        yield counts.reshape(drawn.shape).astype(np.float64)


def bootstrap(statistic: Callable[[Floats], Floats], num_pictures: int) -> list[Interval]:
    """Return percentile intervals of numbers that are computed from all pictures.

    The intervals show how much the numbers of this model would vary with other pictures of the same
    kind, not how much they would vary from one training to another.

    Args:
        statistic: returns M numbers (B, M), given how often each picture counts (B, N).

    Returns:
        M intervals around the numbers of the original pictures.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    values = statistic(np.ones((1, num_pictures)))[0]
    found = np.concatenate([statistic(counts) for counts in resamples(num_pictures)])
    return [percentiles(value, column) for value, column in zip(values, found.T, strict=True)]


def percentiles(value: float, resampled: Floats) -> Interval:
    """Return the interval of a value, given its values on the resamples.

    The interval includes the value itself, even where all resampled values are on one side of it.
    """
    low, high = (float(q) for q in np.quantile(resampled, QUANTILES))
    return Interval(float(value), min(low, float(value)), max(high, float(value)))
