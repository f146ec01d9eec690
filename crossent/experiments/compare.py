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
from crossent.evaluation.intervals import Interval
from crossent.evaluation.measure import align
from crossent.evaluation.scores import score
from crossent.experiments.group import Measured, measure_side
from data.images import printable

MAX_CHANGED = 10  # pictures per comparison; --json has them all
HEADINGS = ["difference", "accuracy, points", "E", "gained", "lost"]


def compare_runs(
    paths: Sequence[Path], data_root: str | None, device: torch.device, overrides: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Compare runs and groups, each with the first; return tables, and their numbers for JSON.

    Args:
        data_root: a folder of pictures; None for the validation pictures that the runs share.
        overrides: where the validation pictures are now, such as data.root=FOLDER.

    Raises:
        UserError: the runs have different classes or pictures.
    """
    if len(paths) < 2:
        raise UserError("compare needs two runs or more, such as: compare runs/a runs/b")
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    pairs = zip(paths, names, strict=True)
    sides = [measure_side(path, name, data_root, device, overrides) for path, name in pairs]
    run, *others = (run for side in sides for run in side)
    for other in others:
        check_comparable(run, other)
    new = reduce(np.intersect1d, [other.new for other in others], run.new)
    num_seen = len(run.outputs) - len(new)
    if num_seen and len(new):
        sides = [[run.take(new) for run in side] for side in sides]
    num_images = len(sides[0][0].outputs)
    text = f"{num_images:,} pictures, the same for all; in brackets 95 % intervals"
    if num_seen:
        text += (
            f"\nwarning: {num_seen:,} pictures, or nearly the same ones, were used in training: "
        )
        text += "they are left out" if len(new) else "these numbers say nothing about new pictures"
    scored = [(run.name, score(run.outputs)) for side in sides for run in side]
    table = [[name, s.accuracy.text(".1%"), s.E.text(".4f")] for name, s in scored]
    of_runs = [{"run": n, "accuracy": s.accuracy.to_dict(), "E": s.E.to_dict()} for n, s in scored]
    rows, comparisons, parts = [HEADINGS], [], []
    first = Side(names[0], [run.outputs for run in sides[0]])
    for name, side in zip(names[1:], sides[1:], strict=True):
        found = compare(first, Side(name, [run.outputs for run in side]))
        points = Interval(*(100 * x for x in found.accuracy)).text("+.1f")
        counts = [str(len(found.gained)), str(len(found.lost))]
        rows.append([f"{name} minus {names[0]}", points, found.E.text("+.4f"), *counts])
        words, facts = describe(found, sides[0], side)
        parts.append(words)
        comparisons.append(facts)
    text = "\n\n".join([text, align([["run", "accuracy", "E"], *table]), align(rows), *parts])
    return text, {"trained_on": num_seen, "runs": of_runs, "comparisons": comparisons}


def describe(
    found: Comparison, first: Sequence[Measured], second: Sequence[Measured]
) -> tuple[str, dict[str, Any]]:
    """Return the settings that differ, the predictions that changed and the outcome; also as JSON.

    Where the runs of a group disagree, all their predictions are listed.
    """

    def predicted(side: Sequence[Measured], row: int) -> str:
        return ", ".join(dict.fromkeys(run.class_names[r.outputs.predicted[row]] for r in side))

    run, lines = first[0], []
    changed = [
        {
            "path": printable(run.picture_names[row]),
            "label": run.class_names[run.outputs.labels[row]],
            "first": predicted(first, row),
            "second": predicted(second, row),
        }
        for row in [*found.gained, *found.lost]
    ]
    settings = differences(run.settings, second[0].settings)
    if settings:
        lines.append(f"Settings of {found.first} -> {found.second}: {'; '.join(settings)}")
    if changed:
        shown = changed if len(changed) <= MAX_CHANGED else changed[:5] + changed[-5:]
        header = ["predicted differently", "true", found.first, found.second]
        lines.append(align([header, *(list(picture.values()) for picture in shown)]))
    if len(changed) > MAX_CHANGED:
        lines.append(f"... and {len(changed) - MAX_CHANGED} more (all with --json)")
    paths = [picture["path"] for picture in changed]
    return "\n".join([*lines, f"{found.sentence}."]), {
        **vars(found),
        "num_images": len(run.outputs),
        "accuracy": found.accuracy.to_dict(),
        "E": found.E.to_dict(),
        "distinguishable": found.distinguishable,
        "gained": paths[: len(found.gained)],
        "lost": paths[len(found.gained) :],
        "changed": changed,
        "settings": settings,
        "sentence": found.sentence,
    }


def check_comparable(first: Measured, other: Measured) -> None:
    """Raise UserError unless both were measured on the same pictures with the same classes."""
    have = f"{first.name} and {other.name} have different"
    if first.class_names != other.class_names:
        names = f"{', '.join(first.class_names)} and {', '.join(other.class_names)}"
        raise UserError(f"{have} classes ({names})")
    if first.key != other.key or not np.array_equal(first.outputs.labels, other.outputs.labels):
        raise UserError(
            f"{have} validation pictures (another seed, folder, data.val_fraction or data.folds): "
            "compare them on new pictures with --data DIR"
        )
