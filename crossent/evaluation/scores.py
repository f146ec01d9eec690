"""The numbers of an evaluation, each with its interval."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from crossent.evaluation.intervals import Floats, Interval, bootstrap, f1_interval, wilson
from crossent.evaluation.outputs import Ints, Outputs


@dataclass(frozen=True)
class Metrics:
    """Counts of answers. Shape: confusion (K, K), rows true, columns predicted."""

    confusion: Ints

    @property
    def num_images(self) -> int:
        return int(self.confusion.sum())

    @property
    def support(self) -> Ints:
        """(K,) pictures of each class."""
        support: Ints = self.confusion.sum(axis=1)
        return support

    def most_confused(self) -> list[tuple[int, int, int]]:
        """Return (true, predicted, pictures) of each kind of mistake, the most frequent first."""
        wrong = self.confusion - np.diag(self.confusion.diagonal())
        pairs = [(int(i), int(j), int(wrong[i, j])) for i, j in np.argwhere(wrong)]
        return sorted(pairs, key=lambda pair: -pair[2])


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
    num_classes = outputs.num_classes
    pairs = outputs.labels * num_classes + outputs.predicted
    confusion = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    metrics = Metrics(confusion)
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
    means: Floats = np.nanmean(resampled_by_class(outputs, counts), axis=2).T
    return means


def resampled_by_class(outputs: Outputs, counts: Floats) -> Floats:
    """Return F1 and recall of each class in each resample; nan of a class without pictures.

    Shape:
        counts (B, N); returns (2, B, K).
    """
    right = add_up(counts * outputs.right, outputs.labels, outputs.num_classes)
    pictures = add_up(counts, outputs.labels, outputs.num_classes)
    answers = add_up(counts, outputs.predicted, outputs.num_classes)
    with np.errstate(invalid="ignore"):  # 0 / 0
        return np.stack([2 * right / (pictures + answers), right / pictures])


def add_up(counts: Floats, classes: Ints, num_classes: int) -> Floats:
    """Add up the counts of the pictures of each class, without a one-hot of (N, K).

    Shape:
        counts (B, N), classes (N,); returns (B, K).
    """
    return np.stack([np.bincount(classes, row, num_classes) for row in counts])
