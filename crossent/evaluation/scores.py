"""The numbers of an evaluation, each with its interval."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from crossent.evaluation.intervals import Floats, Interval, bootstrap, f1_interval, wilson
from crossent.evaluation.metrics import Ints, Metrics, confusion_matrix, divide, f1_score
from crossent.evaluation.outputs import Outputs


@dataclass(frozen=True)
class Scores:
    """The numbers of an evaluation; lists are by class.

    A class without pictures has no recall, one that is never predicted has no precision.
    """

    E: Interval  # nats, mean over the pictures
    accuracy: Interval
    precision: list[Interval]
    recall: list[Interval]
    f1: list[Interval]
    macro_f1: Interval  # mean over the classes that there are
    balanced_accuracy: Interval  # mean recall of these
    metrics: Metrics

    def to_dict(self, class_names: list[str]) -> dict[str, Any]:
        """Return the object that `evaluate --json` prints; a number that does not exist is null."""
        columns = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        per_class = {
            name: {
                **{key: column[k].to_dict() for key, column in columns.items()},
                "support": int(self.metrics.support[k]),
            }
            for k, name in enumerate(class_names)
        }
        return {
            "accuracy": self.accuracy.to_dict(),
            "E": self.E.to_dict(),
            "macro_f1": self.macro_f1.to_dict(),
            "balanced_accuracy": self.balanced_accuracy.to_dict(),
            "num_images": self.metrics.num_images,
            "class_names": class_names,
            "per_class": per_class,
            "confusion_matrix": self.metrics.confusion.tolist(),
        }


def score(outputs: Outputs) -> Scores:
    """Compute all of them: Wilson's interval for shares, the bootstrap for means over pictures."""
    confusion = confusion_matrix(outputs.labels, outputs.predicted, outputs.num_classes)
    metrics = Metrics(float(outputs.losses.mean()), confusion)
    found, answers = confusion.diagonal(), confusion.sum(axis=0)
    [E] = bootstrap(partial(mean_losses, outputs.losses), len(outputs))
    macro_f1, balanced = bootstrap(partial(resampled_means, outputs), len(outputs))
    return Scores(
        E=E,
        accuracy=wilson(int(found.sum()), len(outputs)),
        precision=wilsons(found, answers),
        recall=wilsons(found, metrics.support),
        f1=[f1_interval(*map(int, n)) for n in zip(found, metrics.support, answers, strict=True)],
        macro_f1=macro_f1,
        balanced_accuracy=balanced,
        metrics=metrics,
    )


def wilsons(successes: Ints, counts: Ints) -> list[Interval]:
    return [wilson(int(s), int(n)) for s, n in zip(successes, counts, strict=True)]


def mean_losses(losses: Floats, counts: Floats) -> Floats:
    """Return E of each resample. Shape: losses (N,), counts (B, N); returns (B, 1)."""
    means: Floats = counts @ losses / len(losses)
    return means[:, None]


def resampled_means(outputs: Outputs, counts: Floats) -> Floats:
    """Return the means over the classes of F1 and of recall, of each resample.

    Shape:
        counts (B, N); returns (B, 2).
    """
    both = resampled_f1(outputs, counts), resampled_recall(outputs, counts)
    means: Floats = np.stack([np.nanmean(values, axis=1) for values in both], axis=1)
    return means


def resampled_f1(outputs: Outputs, counts: Floats) -> Floats:
    """Return F1 of each class in each resample. Shape: counts (B, N); returns (B, K)."""
    num_classes, right = outputs.num_classes, counts * outputs.right
    return f1_score(
        by_class(right, outputs.labels, num_classes),
        by_class(counts, outputs.labels, num_classes),
        by_class(counts, outputs.predicted, num_classes),
    )


def resampled_recall(outputs: Outputs, counts: Floats) -> Floats:
    """Return the recall of each class in each resample. Shape: counts (B, N); returns (B, K)."""
    num_classes, right = outputs.num_classes, counts * outputs.right
    return divide(
        by_class(right, outputs.labels, num_classes),
        by_class(counts, outputs.labels, num_classes),
    )


def by_class(counts: Floats, classes: Ints, num_classes: int) -> Floats:
    """Add up the counts of the pictures of each class, without a one-hot of (N, K).

    Shape:
        counts (B, N), classes (N,); returns (B, K).
    """
    return np.stack([np.bincount(classes, row, num_classes) for row in counts])
