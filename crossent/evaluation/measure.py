"""All numbers that `evaluate` and the report show for a model on labelled pictures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crossent.evaluation.confidence import calibration
from crossent.evaluation.evaluate import new_rows, outputs_of
from crossent.evaluation.scores import Outputs, Scores, score
from crossent.model_file import Classifier
from data.advice import listing, plural
from data.images import ImageSet, Unusable

MAX_COLUMNS = 12  # of a confusion matrix that a terminal can show


@dataclass(frozen=True)
class Findings:
    """All measurements. Pictures that the model was trained on are left out, if others remain."""

    image_set: ImageSet
    outputs: Outputs
    scores: Scores
    num_seen: int  # pictures that the model was trained on
    everything: Outputs  # for all pictures, including those

    @property
    def warning(self) -> str | None:
        """A sentence if the model was trained on some of the pictures."""
        if not self.num_seen:
            return None
        num, accuracy, E = len(self.everything), *self.everything.means
        text = f"{self.num_seen} of {num} pictures, or nearly the same ones, were used in training"
        if self.num_seen == num:
            return f"{text}: these numbers say nothing about new pictures"
        return f"{text}: they are left out; with them accuracy is {accuracy:.1%}, E = {E:.4f}"

    def to_dict(self, class_names: list[str]) -> dict[str, Any]:
        """Return the object that `evaluate --json` prints, without the unusable files."""
        accuracy, E = self.everything.means
        seen = {"num_images": self.num_seen, "accuracy_with_them": accuracy, "E_with_them": E}
        return {
            **self.scores.to_dict(class_names),
            "trained_on": {**seen, "warning": self.warning},
            "mean_confidence": float(self.outputs.confidence.mean()),
        }


def examine(classifier: Classifier, image_set: ImageSet) -> Findings:
    """Measure everything, on the pictures that are new to the model if there are any."""
    everything, new = outputs_of(classifier, image_set), new_rows(classifier, image_set)
    outputs, num_seen = everything, len(image_set) - len(new)
    if num_seen and len(new):
        outputs, image_set = outputs.take(new), image_set.take(new)
    return Findings(image_set, outputs, score(outputs), num_seen, everything)


def as_text(
    findings: Findings,
    class_names: list[str],
    unusable: Sequence[Unusable],
    warnings: Sequence[str] = (),
) -> str:
    """Return the warnings, all tables, and the files that could not be used."""
    parts = [
        "\n".join(f"warning: {text}" for text in (*warnings, findings.warning) if text),
        tables(findings.scores, class_names),
        calibration(findings.outputs),
    ]
    if unusable:
        lines = [f"{bad.path}: {bad.reason}" for bad in unusable]
        title = f"{plural(len(unusable), 'file')} could not be used"
        parts.append(listing(title, lines, "--json lists all"))
    return "\n\n".join(filter(None, parts))


def tables(scores: Scores, class_names: list[str]) -> str:
    """Return the scores over all classes, one row per class, and the confusion matrix."""
    num_classes = len(class_names)
    headline = (
        f"{scores.num_images} pictures: accuracy {scores.accuracy.text('.1%')}, "
        f"E = {scores.E.text('.4f')} nats; an untrained model has ln {num_classes} = "
        f"{math.log(num_classes):.4f}\n"
        f"Balanced accuracy (mean recall) {scores.balanced_accuracy.text('.1%')}. "
        "In brackets: 95 % intervals"
    )
    rows = [["class", "precision", "recall", "F1", "pictures"]]
    for k, name in enumerate(class_names):
        shares = [column[k].text(".2f") for column in (scores.precision, scores.recall, scores.f1)]
        rows.append([name, *shares, str(scores.support[k])])
    return "\n\n".join([headline, align(rows), confusion(scores, class_names)])


def confusion(scores: Scores, class_names: list[str]) -> str:
    """Return the matrix, or the most frequent mistakes if a terminal is too narrow for it."""
    if len(class_names) <= MAX_COLUMNS:
        rows = [["true \\ predicted", *class_names]]
        for name, counts in zip(class_names, scores.confusion.tolist(), strict=True):
            rows.append([name, *map(str, counts)])
        return align(rows)
    rows = [["true", "predicted", "pictures"]]
    for true, predicted, count in scores.most_confused()[:MAX_COLUMNS]:
        rows.append([class_names[true], class_names[predicted], str(count)])
    return "Most confused:\n" + align(rows)


def align(rows: list[list[str]]) -> str:
    """Align the first column to the left and the others to the right."""
    first, *widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = ([row[0].ljust(first), *map(str.rjust, row[1:], widths)] for row in rows)
    return "\n".join("  ".join(cells) for cells in aligned)
