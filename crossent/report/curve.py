"""How E falls from ln K: one drawing for E-curve.png, for the report, and for a group of runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from crossent.experiments.group import Group
from crossent.files import write_atomic
from crossent.report.charts import (
    REFERENCE,
    TRAIN,
    VAL,
    Chart,
    Options,
    count_epochs,
    draw_file,
    make_chart,
)
from crossent.training.run_folder import RunFolder

Record = dict[str, Any]  # a line of metrics.jsonl
NUM_CLASSES = (1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 300, 1000)  # for the right scale


@dataclass(frozen=True)
class Curve:
    """E from the epoch `first` on; 0 is the untrained model."""

    E: Sequence[float]
    first: int
    style: Options  # of matplotlib's `plot`


def draw_curve(records: list[Record], path: Path, keep: str = "best") -> None:
    """Write E on train and validation over the epochs as a PNG.

    Args:
        records: the lines of metrics.jsonl, a "start" first.
        path: the PNG to write.
        keep: the epoch to mark, whose model is kept: "best" or "last".
    """
    write_png(path, records[0], curves_of(records, keep))


def draw_curves(path: Path) -> None:
    """Write E on validation over the epochs of a group: a thin line per run, and their mean."""
    group = Group(path)
    logs = [RunFolder(run).records() for run in group.runs]
    runs = [E_on_val(log) for log in logs]
    shortest = min(map(len, runs))
    mean = np.mean([run[:shortest] for run in runs], axis=0)
    thin: Options = {"color": VAL["color"], "linewidth": 0.8, "alpha": 0.5}
    names: list[str | None] = [f"{group.runs[0].name} to {group.runs[-1].name}"]
    names += [None] * (len(runs) - 1)
    curves = [Curve(run, 0, {**thin, "label": n}) for run, n in zip(runs, names, strict=True)]
    curves.append(Curve(mean.tolist(), 0, {**VAL, "label": f"mean of {len(runs)} runs"}))
    write_png(group.curves, logs[0][0], curves)


def write_png(path: Path, start: Record, curves: Sequence[Curve]) -> None:
    content = draw_file(partial(draw_E, start, curves), (8, 4.5), "", format="png")
    write_atomic(path, lambda temporary: temporary.write_bytes(content))


def chart_of_E(records: list[Record], keep: str) -> Chart:
    """Draw the same as `draw_curve`, for the report."""
    E = E_on_val(records)
    sentence = f"E on validation is {E[0]:.4f} nats for the untrained model"
    if len(E) > 1:
        epoch = kept_epoch(E, keep)
        sentence += (
            f" and {E[epoch]:.4f} nats = {E[epoch] / math.log(2):.3f} bits for the kept model, of "
            f"epoch {epoch}: as unsure as between {math.exp(min(E[epoch], 700)):.2f} classes"
        )
    draw = partial(draw_E, records[0], curves_of(records, keep))
    return make_chart("Cross-entropy E", f"{sentence}.", draw)


def draw_E(start: Record, curves: Sequence[Curve], axes: Any) -> None:
    """Draw curves and the line of ln K; the right scale is exp(E)."""
    baseline, num_classes = start["baseline"], len(start["class_names"])
    for curve in curves:
        axes.plot(range(curve.first, curve.first + len(curve.E)), curve.E, **curve.style)
    axes.axhline(baseline, label=f"ln {num_classes} = {baseline:.4f}, untrained", **REFERENCE)
    highest = max(baseline, *(E for curve in curves for E in curve.E))
    top = 1.06 * min(highest, 3 * baseline)  # one wild epoch must not flatten the others
    axes.set(ylabel="E, nats per picture", ylim=(0, top))
    count_epochs(axes)
    # matplotlib asks beyond the ends of the scale, where there is no logarithm
    scale = np.exp, lambda counts: np.log(np.maximum(counts, 1e-9))
    right = axes.secondary_yaxis("right", functions=scale)
    ticks = [1.0]
    for count in NUM_CLASSES:
        if math.log(count / ticks[-1]) > top / 9 and math.log(count) < top:
            ticks.append(count)  # far enough from the one below
    right.set_yticks(ticks, [f"{count:g}" for count in ticks])
    right.set_ylabel("exp(E), classes in doubt")


def curves_of(records: list[Record], keep: str) -> list[Curve]:
    """Return train, validation, and the point of the epoch whose model is kept."""
    val = E_on_val(records)
    train = [r["train"]["E"] for r in records if r["kind"] == "epoch"]
    if not train:
        return [Curve(val, 0, {**VAL, "marker": "o"})]
    epoch = kept_epoch(val, keep)
    label = f"kept: epoch {epoch}, E = {val[epoch]:.4f}"
    mark: Options = {"color": VAL["color"], "marker": "o", "linestyle": "none", "label": label}
    return [Curve(train, 1, TRAIN), Curve(val, 0, VAL), Curve([val[epoch]], epoch, mark)]


def kept_epoch(E: Sequence[float], keep: str) -> int:
    return len(E) - 1 if keep == "last" else 1 + int(np.argmin(E[1:]))


def E_on_val(records: list[Record]) -> list[float]:
    """Return E on validation, of the untrained model and after each epoch."""
    by_kind = {"start": lambda r: r["E"], "epoch": lambda r: r["val"]["E"]}
    return [by_kind[r["kind"]](r) for r in records if r["kind"] in by_kind]
