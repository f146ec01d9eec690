"""An evaluation as a page of text."""

import math
from collections.abc import Sequence

from crossent.evaluation.calibration import Calibration
from crossent.evaluation.coverage import Coverage
from crossent.evaluation.intervals import HUGE, shown
from crossent.evaluation.measure import Findings
from crossent.evaluation.scores import Metrics, Scores
from crossent.evaluation.shortcuts import Shortcuts
from data.images import Unusable

MAX_LISTED = 10  # unusable files; --json has them all
MAX_COLUMNS = 12  # of a confusion matrix that a terminal can show
VIEW_NAMES = {"border": "only the border", "centre": "only the centre", "grey": "in grey"}


def as_text(findings: Findings, class_names: list[str], unusable: Sequence[Unusable]) -> str:
    """Return accuracy and E, a row per class, the confusion matrix and the other tables."""
    scores = findings.scores
    parts = [
        headline(scores, class_names),
        per_class_table(scores, class_names),
        confusion(scores.metrics, class_names),
        calibration_lines(findings.calibration),
        coverage_table(findings.coverage),
        shortcut_table(findings.shortcuts),
    ]
    if unusable:
        parts.append(unusable_list(unusable))
    return "\n\n".join(parts)


def headline(scores: Scores, class_names: list[str]) -> str:
    """Return the two numbers, and E in the units of the article's reader."""
    E, num_classes = scores.E.value, len(class_names)
    bits, digits = shown(E / math.log(2), ".4f"), shown(E / math.log(10), ".4f")
    doubt = f"{math.exp(E):.2f}" if E < math.log(HUGE) else f"more than {HUGE:,.0f}"
    return (
        f"{scores.metrics.num_images} pictures: accuracy {scores.accuracy.text('.1%')}, "
        f"E = {scores.E.text('.4f')} nats\n"
        f"= {bits} bits = {digits} in base 10; exp(E) = {doubt}: as unsure as between that many "
        f"classes (an untrained model: ln {num_classes} = {math.log(num_classes):.4f})\n"
        f"Balanced accuracy (mean recall) {scores.balanced_accuracy.text('.1%')}, mean F1 of the "
        f"classes {scores.macro_f1.text('.3f')}. In brackets: 95 % intervals"
    )


def per_class_table(scores: Scores, class_names: list[str]) -> str:
    rows = [["class", "precision", "recall", "F1", "pictures"]]
    columns = zip(
        class_names, scores.precision, scores.recall, scores.f1, scores.metrics.support, strict=True
    )
    for name, *shares, support in columns:
        rows.append([name, *(share.text(".2f") for share in shares), str(support)])
    return align(rows)


def confusion(metrics: Metrics, class_names: list[str]) -> str:
    """Return the matrix, or the most frequent mistakes where a terminal is too narrow."""
    few = len(class_names) <= MAX_COLUMNS
    return (confusion_table if few else confused_pairs)(metrics, class_names)


def confusion_table(metrics: Metrics, class_names: list[str]) -> str:
    rows = [["true \\ predicted", *class_names]]
    for name, counts in zip(class_names, metrics.confusion.tolist(), strict=True):
        rows.append([name, *map(str, counts)])
    return align(rows)


def confused_pairs(metrics: Metrics, class_names: list[str]) -> str:
    rows = [["true", "predicted", "pictures"]]
    for true, predicted, count in metrics.most_confused()[:MAX_COLUMNS]:
        rows.append([class_names[true], class_names[predicted], str(count)])
    return "Most confused:\n" + align(rows)


def calibration_lines(calibration: Calibration) -> str:
    c = calibration
    return (
        f"Calibration error {c.before.text('.3f')}; "
        f"a perfectly calibrated model would show {c.by_chance.text('.3f')} on so many pictures\n"
        f"best temperature for the logits: {c.temperature:.2f}; above 1 the model is too confident"
    )


def coverage_table(coverage: Coverage) -> str:
    rows = [["most confident", "accuracy", "confidence from"]]
    for share in (1.0, 0.8, 0.5):
        accuracy, confidence = coverage.at(share)
        rows.append([f"{share:.0%}", accuracy.text(".1%"), f"{confidence:.2f}"])
    return align(rows)


def shortcut_table(shortcuts: Shortcuts) -> str:
    rows = [["what is seen", "accuracy"]]
    rows += [[text, shortcuts.views[name].text(".1%")] for name, text in VIEW_NAMES.items()]
    rows.append(["(guessing)", f"{shortcuts.guess:.1%}"])
    warning = f"\nwarning: {shortcuts.warning}" if shortcuts.warning else ""
    return align(rows) + warning


def unusable_list(unusable: Sequence[Unusable]) -> str:
    lines = [f"{len(unusable)} files could not be used:"]
    lines += [f"  {u.path}: {u.reason}" for u in unusable[:MAX_LISTED]]
    if len(unusable) > MAX_LISTED:
        lines.append(f"  ... and {len(unusable) - MAX_LISTED} more (all with --json)")
    return "\n".join(lines)


def align(rows: list[list[str]]) -> str:
    """Align the first column to the left, the others to the right, each as wide as needed."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:<{widths[0]}}", *cells]))
    return "\n".join(lines)
