"""Compare runs, or groups of runs, on the same pictures: as text and as JSON."""

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crossent.config import differences
from crossent.errors import UserError
from crossent.evaluation.compare import Comparison, Side, compare
from crossent.evaluation.measure import align
from crossent.evaluation.scores import score
from crossent.experiments.group import Measured, measure_side
from data.images import printable

MAX_CHANGED = 10  # pictures per comparison; --json has them all


def compare_runs(
    paths: Sequence[Path], data_root: str | None, device: torch.device
) -> tuple[str, dict[str, Any]]:
    """Compare runs and groups, each with the first; return tables, and their numbers for JSON.

    Args:
        data_root: a folder of pictures; None takes the validation pictures that they share.

    Raises:
        UserError: they cannot be compared, as classes or pictures differ.
    """
    if len(paths) < 2:
        raise UserError("compare needs two runs or more, such as: compare runs/a runs/b")
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len({path.resolve() for path in paths}):
        names = [str(path) for path in paths]
    pairs = zip(paths, names, strict=True)
    measured = [measure_side(path, name, data_root, device) for path, name in pairs]
    runs = [run for side in measured for run in side]
    for other in runs[1:]:
        check_comparable(runs[0], other)
    new = reduce(np.intersect1d, [run.new for run in runs])
    num_all, num_seen = len(runs[0].outputs), len(runs[0].outputs) - len(new)
    if num_seen and len(new):
        measured = [[run.take(new) for run in side] for side in measured]
    title = (
        f"{len(measured[0][0].outputs):,} pictures, the same for all; in brackets 95 % intervals; "
        "p is that of the accuracies"
    )
    if num_seen:
        void = "numbers say nothing about new pictures"
        title += (
            f"\nwarning: {num_seen:,} pictures, or nearly the same ones, were used in training one "
            f"of the runs: {void if num_seen == num_all else 'they are left out'}"
        )
    text, facts = compare_measured(names, measured)
    return f"{title}\n\n{text}", {"trained_on": num_seen, **facts}


def compare_measured(
    names: Sequence[str], measured: Sequence[Sequence[Measured]]
) -> tuple[str, dict[str, Any]]:
    """Return tables and facts of runs and groups measured on the same pictures."""
    scores = {run.name: score(run.outputs) for side in measured for run in side}
    table = [["run", "accuracy", "E"]]
    table += [[name, s.accuracy.text(".1%"), s.E.text(".4f")] for name, s in scores.items()]
    base, *sides = [
        Side(name, [run.outputs for run in side])
        for name, side in zip(names, measured, strict=True)
    ]
    rows, details, parts = [["difference", "accuracy, points", "E", "gained", "lost", "p"]], [], []
    for side, other in zip(sides, measured[1:], strict=True):
        c = compare(base, side)
        value, low, high = (100 * x for x in c.accuracy)
        points = f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
        counts = [str(len(c.gained)), str(len(c.lost))]
        name = f"{c.second} minus {c.first}"
        rows.append([name, points, c.E.text("+.4f"), *counts, f"{c.p_value:.3f}"])
        details.append(details_of(c, measured[0], other))
        parts.append(in_words(c, details[-1]))
    of_runs = [
        {"run": name, "accuracy": s.accuracy.to_dict(), "E": s.E.to_dict()}
        for name, s in scores.items()
    ]
    facts = {"runs": of_runs, "comparisons": details}
    return "\n\n".join([align(table), align(rows), *parts]), facts


def details_of(
    comparison: Comparison, first: Sequence[Measured], second: Sequence[Measured]
) -> dict[str, Any]:
    """Return the numbers, the settings that differ, and the predictions that changed, for JSON."""

    def predicted(side: Sequence[Measured], row: int) -> str:
        found = [run.class_names[run.outputs.predicted[row]] for run in side]
        return ", ".join(dict.fromkeys(found))  # several where the runs of a group disagree

    run = first[0]
    gained, lost = comparison.gained.tolist(), comparison.lost.tolist()
    changed = [
        {
            "path": printable(run.picture_names[row]),
            "label": run.class_names[run.outputs.labels[row]],
            "first": predicted(first, row),
            "second": predicted(second, row),
        }
        for row in gained + lost
    ]
    return {
        "first": comparison.first,
        "second": comparison.second,
        "num_images": len(run.outputs),
        "accuracy": comparison.accuracy.to_dict(),
        "E": comparison.E.to_dict(),
        "distinguishable": comparison.distinguishable,
        "p_value": comparison.p_value,
        "more_pictures": comparison.more_pictures,
        "gained": [picture["path"] for picture in changed[: len(gained)]],
        "lost": [picture["path"] for picture in changed[len(gained) :]],
        "changed": changed,
        "settings": differences(run.settings, second[0].settings),
        "sentence": comparison.sentence,
    }


def check_comparable(first: Measured, other: Measured) -> None:
    """Raise UserError unless both were measured on the same pictures with the same classes."""
    if first.class_names != other.class_names:
        raise UserError(
            f"{first.name} knows the classes {', '.join(first.class_names)}, {other.name} "
            f"{', '.join(other.class_names)}: only runs of the same classes can be compared"
        )
    same_labels = np.array_equal(first.outputs.labels, other.outputs.labels)
    if first.key != other.key or not same_labels:
        raise UserError(
            f"{first.name} and {other.name} have other validation pictures (another seed, folder, "
            "data.val_fraction or data.folds): compare them on a folder that is new to both, "
            "with --data"
        )


def in_words(comparison: Comparison, details: dict[str, Any]) -> str:
    """Return what differs, settings and predictions, and the outcome."""
    first, second, lines = comparison.first, comparison.second, []
    if details["settings"]:
        lines.append(f"Settings of {first} -> {second}: {'; '.join(details['settings'])}")
    changed = details["changed"]
    shown = changed if len(changed) <= MAX_CHANGED else changed[:5] + changed[-5:]
    if changed:
        header = ["predicted differently", "true", first, second]
        lines.append(align([header, *(list(picture.values()) for picture in shown)]))
    if len(changed) > MAX_CHANGED:
        lines.append(f"... and {len(changed) - MAX_CHANGED} more (all with --json)")
    return "\n".join([*lines, f"{comparison.sentence}."])
