"""The predictions of a model for labelled pictures, and the numbers of an evaluation."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from crossent.evaluation.intervals import Floats, Interval, bootstrap, f1_interval, wilson
from crossent.loss import cross_entropy

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Outputs:
    """Predictions for N pictures.

    Shape:
        logits (N, K) float64; labels (N,) class indices.
    """

    logits: Floats
    labels: Ints

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Ints) -> "Outputs":
        """Return the predictions for some of the pictures."""
        return Outputs(self.logits[rows], self.labels[rows])

    @property
    def means(self) -> tuple[float, float]:
        """Accuracy, and E in nats."""
        return float(self.right.mean()), float(self.losses.mean())

    @cached_property
    def losses(self) -> Floats:
        """(N,) E of each picture in nats: the plain cross-entropy, without smoothing or weights."""
        logits, labels = torch.from_numpy(self.logits), torch.from_numpy(self.labels)
        return np.asarray(cross_entropy(logits, labels, reduction="none").numpy())

    @cached_property
    def probs(self) -> Floats:
        """(N, K) y, whose rows sum to 1."""
        return np.asarray(torch.from_numpy(self.logits).softmax(dim=1).numpy())

    @cached_property
    def predicted(self) -> Ints:
        """(N,) the class with the largest y."""
        return np.asarray(self.logits.argmax(axis=1))

    @cached_property
    def confidence(self) -> Floats:
        """(N,) the largest y."""
        return np.asarray(self.probs.max(axis=1))

    @cached_property
    def right(self) -> Bools:
        """(N,) whether the predicted class is the label."""
        return np.asarray(self.predicted == self.labels)


@dataclass(frozen=True)
class Scores:
    """The numbers of an evaluation.

    A class without pictures has no recall, and a class that is never predicted has no precision.
    """

    E: Interval  # nats, mean over the pictures
    accuracy: Interval
    precision: list[Interval]  # of each class, as recall and f1
    recall: list[Interval]
    f1: list[Interval]
    balanced_accuracy: Interval  # mean recall of the classes that have pictures
    confusion: Ints  # (K, K), rows true, columns predicted

    @property
    def num_images(self) -> int:
        return int(self.confusion.sum())

    @property
    def support(self) -> Ints:
        """(K,) number of pictures of each class."""
        return np.asarray(self.confusion.sum(axis=1))

    def most_confused(self) -> list[tuple[int, int, int]]:
        """Return (true, predicted, number) for each kind of mistake, the most frequent first."""
        wrong = self.confusion - np.diag(self.confusion.diagonal())
        pairs = [(int(i), int(j), int(wrong[i, j])) for i, j in np.argwhere(wrong)]
        return sorted(pairs, key=lambda pair: -pair[2])

    def to_dict(self, class_names: list[str]) -> dict[str, Any]:
        """Return the numbers as `evaluate --json` prints them; undefined ones are None."""
        columns = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        per_class: dict[str, dict[str, Any]] = {}
        for k, name in enumerate(class_names):
            per_class[name] = {column: values[k].to_dict() for column, values in columns.items()}
            per_class[name]["support"] = int(self.support[k])
        return {
            "accuracy": self.accuracy.to_dict(),
            "E": self.E.to_dict(),
            "balanced_accuracy": self.balanced_accuracy.to_dict(),
            "num_images": self.num_images,
            "class_names": class_names,
            "per_class": per_class,
            "confusion_matrix": self.confusion.tolist(),
        }


def score(outputs: Outputs) -> Scores:
    """Compute all scores, with Wilson's intervals for shares and the bootstrap's for means."""
    num_classes = outputs.logits.shape[1]
    pairs = outputs.labels * num_classes + outputs.predicted
    confusion = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    counts = [confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)]
    by_class = list(zip(*(column.tolist() for column in counts), strict=True))

    def resampled_means(counts: Floats) -> Floats:  # (B, N) to (B, 2)
        recall = np.nanmean(resampled_recall(outputs, counts), axis=1)
        return np.stack([counts @ outputs.losses / len(outputs), recall], axis=1)

    E, balanced_accuracy = bootstrap(resampled_means, len(outputs))
    return Scores(
        E=E,
        accuracy=wilson(int(outputs.right.sum()), len(outputs)),
        precision=[wilson(right, predictions) for right, _, predictions in by_class],
        recall=[wilson(right, pictures) for right, pictures, _ in by_class],
        f1=[f1_interval(*numbers) for numbers in by_class],
        balanced_accuracy=balanced_accuracy,
        confusion=confusion,
    )


def resampled_recall(outputs: Outputs, counts: Floats) -> Floats:
    """Return the recall of each class in each resample; nan for a class without pictures.

    Shape:
        counts (B, N); returns (B, K).
    """
    right, pictures = (  # summed without a one-hot array of (N, K), which may be huge
        np.stack([np.bincount(outputs.labels, row, outputs.logits.shape[1]) for row in rows])
        for rows in (counts * outputs.right, counts)
    )
    with np.errstate(invalid="ignore"):  # 0 / 0
        return np.asarray(right / pictures)
