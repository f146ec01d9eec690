"""Calibration: is the model right as often as its confidence says?"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from crossent.evaluation.intervals import (
    NUM_RESAMPLES,
    Floats,
    Interval,
    bootstrap,
    percentiles,
    wilson,
)
from crossent.evaluation.outputs import Outputs
from crossent.loss import cross_entropy

NUM_BINS = 10
MAX_TEMPERATURE = 100.0  # and its inverse: a model that is always right would like T = 0


@dataclass(frozen=True)
class Bin:
    """The pictures whose confidence lies in one tenth."""

    count: int
    confidence: float  # mean
    accuracy: Interval


@dataclass(frozen=True)
class Calibration:
    """ECE of the logits as they are, and the temperature that would soften or sharpen them best."""

    before: Interval  # that is, with T = 1
    by_chance: Interval  # what as many pictures would show if the model were calibrated
    temperature: float  # T, fitted on all pictures; above 1 if the model is too confident
    bins: list[Bin]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        return {
            "ece": self.before.to_dict(),
            "ece_by_chance": self.by_chance.to_dict(),
            "temperature": self.temperature,
        }


def calibrate(outputs: Outputs, seed: int = 0) -> Calibration:
    """Measure the calibration.

    Source: Guo et al. 2017, "On calibration of modern neural networks".
    """
    return Calibration(
        before=expected_calibration_error(outputs),
        by_chance=error_by_chance(outputs, seed),
        temperature=fit_temperature(outputs),
        bins=reliability(outputs),
    )


def expected_calibration_error(outputs: Outputs) -> Interval:
    """Return ECE = sum over the bins of (pictures in it / N) |mean confidence - accuracy|.

    The interval is the bootstrap's. Resampling adds noise to every bin, so for few pictures it
    lies high: read it with `error_by_chance`.
    """
    [interval] = bootstrap(partial(resampled_error, outputs), len(outputs))
    return interval


def resampled_error(outputs: Outputs, counts: Floats) -> Floats:
    """Return ECE of each resample. Shape: counts (B, N); returns (B, 1)."""
    gaps = (outputs.confidence - outputs.right)[:, None] * in_bin(outputs)  # (N, bins)
    errors: Floats = np.abs(counts @ gaps).sum(axis=1, keepdims=True) / len(outputs)
    return errors


def error_by_chance(outputs: Outputs, seed: int = 0) -> Interval:
    """Return the ECE, with 95 % of its values, if each answer were right as often as it states.

    Source: Bröcker & Smith 2007, "Increasing the reliability of reliability diagrams".
    """
    rng = np.random.default_rng(seed)
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
    if slope(outputs, 1.0) == 0:  # all classes alike: no T matters
        return 1.0
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(outputs, middle) > 0 else (middle, high)
    return 1 / math.sqrt(low * high)


def slope(outputs: Outputs, inverse: float) -> float:
    """Return dE/da of logits a z, by the chain rule on our own dE/dz = y - t."""
    factor = torch.tensor(inverse, dtype=torch.float64, requires_grad=True)
    logits = torch.from_numpy(outputs.logits) * factor
    cross_entropy(logits, torch.from_numpy(outputs.labels)).backward()
    assert factor.grad is not None
    return factor.grad.item()
