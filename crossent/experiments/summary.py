"""What came of a group of runs: one table, summary.json, and the curves in one picture."""

import json
from collections.abc import Sequence
from typing import Any

import torch

from crossent.evaluation.compare import Side, spread_interval
from crossent.evaluation.intervals import Floats, Interval
from crossent.evaluation.scores import score
from crossent.evaluation.table import align, confusion, headline, per_class_table
from crossent.experiments.group import Group
from crossent.experiments.measured import Measured, measure_run, pooled
from crossent.files import write_text


def summarise(group: Group, device: torch.device) -> str:
    """Measure all runs, write summary.json, and return the table."""
    runs = [measure_run(path, path.name, None, device) for path in group.runs]
    flipped = [measure_run(path, path.name, None, device, flip=True) for path in group.runs]
    text, facts = (about_folds if group.kind == "folds" else about_seeds)(runs, flipped)
    write_text(group.summary, json.dumps(facts, indent=2, allow_nan=False) + "\n")
    return text


def about_folds(
    runs: Sequence[Measured], flipped: Sequence[Measured]
) -> tuple[str, dict[str, Any]]:
    """Every picture was judged by the one model that had not seen it: all are pooled."""
    scores, mirrored = (score(pooled("", found).outputs) for found in (runs, flipped))
    class_names = runs[0].class_names
    parts = [
        "Each picture was judged by the model that had not seen it, after its last epoch.",
        headline(scores, class_names),
        f"With the mirror image, as predict --flip: accuracy {mirrored.accuracy.text('.1%')}, "
        f"balanced {mirrored.balanced_accuracy.text('.1%')},\nE = {mirrored.E.text('.4f')}",
        per_class_table(scores, class_names),
        confusion(scores.metrics, class_names),
        runs_table("fold", runs),
    ]
    facts = {"kind": "folds", **scores.to_dict(class_names), "flip": mirrored.to_dict(class_names)}
    return "\n\n".join(parts), {**facts, "folds": [single(run) for run in runs]}


def about_seeds(
    runs: Sequence[Measured], flipped: Sequence[Measured]
) -> tuple[str, dict[str, Any]]:
    """Mean and standard deviation over the seeds, and an interval over seeds and pictures."""
    side, mirrored = (Side("", [run.outputs for run in found]) for found in (runs, flipped))
    numbers = {
        "accuracy": (side.right, ".1%"),
        "E": (side.losses, ".4f"),
        "accuracy, with the mirror image": (mirrored.right, ".1%"),
        "E, with the mirror image": (mirrored.losses, ".4f"),
    }
    rows = [["", "mean", "standard deviation", "95 % interval, over seeds and pictures"]]
    facts = {}
    for name, (values, form) in numbers.items():
        mean, deviation = spread(values)
        rows.append([name, f"{mean.value:{form}}", f"{deviation:{form}}", mean.range(form)])
        facts[name] = {"mean": mean.to_dict(), "standard_deviation": deviation}
    parts = [
        f"{len(runs)} seeds, the same {side.right.shape[1]:,} validation pictures",
        align(rows),
        runs_table("seed", runs),
    ]
    return "\n\n".join(parts), {"kind": "seeds", **facts, "seeds": [single(run) for run in runs]}


def runs_table(title: str, runs: Sequence[Measured]) -> str:
    rows = [[title, "pictures", "accuracy", "E"]]
    for run in map(single, runs):
        rows.append(
            [run["run"], str(run["num_images"]), f"{run['accuracy']:.1%}", f"{run['E']:.4f}"]
        )
    return align(rows)


def spread(values: Floats) -> tuple[Interval, float]:
    """The mean over runs and pictures with its interval, and the deviation of the runs' means.

    Shape:
        values (R, N).
    """
    return spread_interval(values), float(values.mean(axis=1).std(ddof=1))


def single(run: Measured) -> dict[str, Any]:
    outputs = run.outputs
    return {
        "run": run.name,
        "num_images": len(outputs),
        "accuracy": float(outputs.right.mean()),
        "E": float(outputs.losses.mean()),
    }
