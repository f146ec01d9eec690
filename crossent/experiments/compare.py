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
    sides, runs = [], []
    for path, name in zip(paths, names, strict=True):
        measured = measure_side(path, name, data_root, device)
        sides.append(Side(name, [run.outputs for run in measured]))
        runs += measured
    for other in runs[1:]:
        check_comparable(runs[0], other)
    comparisons = [compare(sides[0], other) for other in sides[1:]]
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


def as_text(scores: Mapping[str, Scores], comparisons: Sequence[Comparison]) -> str:
    """Return one row per run, one row per comparison, and a sentence about each."""
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
