"""An evaluation as a page of text."""

import math
from collections.abc import Sequence

from crossent.evaluation.metrics import Metrics
from data.images import Unusable

MAX_LISTED = 10  # unusable files; --json has them all


def as_text(metrics: Metrics, class_names: list[str], unusable: Sequence[Unusable]) -> str:
    """Accuracy and E, a row a class, the confusion matrix, what could not be used."""
    parts = [
        f"{metrics.num_images} pictures: accuracy {metrics.accuracy:.1%}, E = {metrics.E:.4f} "
        f"(a model that knows nothing: ln {len(class_names)} = {math.log(len(class_names)):.4f})",
        per_class_table(metrics, class_names),
        confusion_table(metrics, class_names),
    ]
    if unusable:
        parts.append(unusable_list(unusable))
    return "\n\n".join(parts)


def per_class_table(metrics: Metrics, class_names: list[str]) -> str:
    rows = [["class", "precision", "recall", "F1", "pictures"]]
    columns = zip(
        class_names, metrics.precision, metrics.recall, metrics.f1, metrics.support, strict=True
    )
    for name, *shares, support in columns:
        rows.append([name, *(f"{share:.3f}" for share in shares), str(support)])
    return align(rows)


def confusion_table(metrics: Metrics, class_names: list[str]) -> str:
    rows = [["is \\ said", *class_names]]
    for name, counts in zip(class_names, metrics.confusion.tolist(), strict=True):
        rows.append([name, *map(str, counts)])
    return align(rows)


def unusable_list(unusable: Sequence[Unusable]) -> str:
    lines = [f"{len(unusable)} files could not be used:"]
    lines += [f"  {u.path}: {u.reason}" for u in unusable[:MAX_LISTED]]
    if len(unusable) > MAX_LISTED:
        lines.append(f"  ... and {len(unusable) - MAX_LISTED} more (all with --json)")
    return "\n".join(lines)


def align(rows: list[list[str]]) -> str:
    """First column to the left, the others to the right, each as wide as it needs to be."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:<{widths[0]}}", *cells]))
    return "\n".join(lines)
