"""Compare runs, or groups of runs, on the same pictures: as text and as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crossent.errors import UserError
from crossent.evaluation.compare import Comparison, Side, compare
from crossent.evaluation.measure import align
from crossent.evaluation.scores import Scores, score
from crossent.experiments.group import Measured, measure_side


def compare_runs(
    paths: Sequence[Path], against: Sequence[Path], data_root: str | None, device: torch.device
) -> tuple[str, dict[str, Any]]:
    """Compare runs and groups, each with the first; return tables, and their numbers for JSON.

    Args:
        against: if there are any, these are the first side, together, and `paths` the second.
        data_root: a folder of pictures; None takes the validation pictures that they share.

    Raises:
        UserError: they cannot be compared, as classes or pictures differ.
    """
    if len(paths) + len(against) < 2:
        raise UserError("compare needs two runs or more, such as: compare runs/a runs/b")
    sides = [*against, *paths]
    names = [path.resolve().name for path in sides]
    if len(set(names)) < len({path.resolve() for path in sides}):
        names = [str(path) for path in sides]
    pairs = zip(sides, names, strict=True)
    measured = [measure_side(path, name, data_root, device) for path, name in pairs]
    runs = [run for side in measured for run in side]
    for other in runs[1:]:
        check_comparable(runs[0], other)
    if against:
        num_first = sum(map(len, measured[: len(against)]))
        measured = [runs[:num_first], runs[num_first:]]
    first, *others = [make_side(side) for side in measured]
    comparisons = [compare(first, other) for other in others]
    scores = {run.name: score(run.outputs) for run in runs}
    facts = {
        "runs": [
            {"run": name, "accuracy": s.accuracy.to_dict(), "E": s.E.to_dict()}
            for name, s in scores.items()
        ],
        "comparisons": [c.to_dict(runs[0].picture_names) for c in comparisons],
    }
    return as_text(scores, comparisons), facts


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


def make_side(runs: Sequence[Measured]) -> Side:
    """Make one side of the runs; several of one group are called after it."""
    name, *others = {run.name.rpartition("/")[0] for run in runs}
    if len(runs) == 1 or others or not name:
        name = " + ".join(run.name for run in runs)
    return Side(name, [run.outputs for run in runs])


def as_text(scores: Mapping[str, Scores], comparisons: Sequence[Comparison]) -> str:
    """Return a row per run, a row per comparison, and a sentence about each."""
    rows = [["run", "accuracy", "E"]]
    rows += [[name, s.accuracy.text(".1%"), s.E.text(".4f")] for name, s in scores.items()]
    differences = [["difference", "accuracy, points", "E", "gained", "lost", "p"]]
    for c in comparisons:
        value, low, high = (100 * x for x in c.accuracy)
        points = f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
        counts = [str(len(c.gained)), str(len(c.lost))]
        name = f"{c.second} minus {c.first}"
        differences.append([name, points, c.E.text("+.4f"), *counts, f"{c.p_value:.3f}"])
    title = (
        f"{comparisons[0].num_images:,} pictures, the same for all; in brackets 95 % intervals; "
        "p is that of the accuracies"
    )
    sentences = "\n".join(f"{c.sentence}." for c in comparisons)
    return "\n\n".join([title, align(rows), align(differences), sentences])
