"""E-curve.png: how E falls from ln K."""

from pathlib import Path
from typing import Any

import numpy as np

from crossent.experiments.group import Group
from crossent.files import write_atomic
from crossent.training.run_folder import RunFolder

INK, GREY, TRAIN, VAL = "#222222", "#888888", "#0072b2", "#d55e00"  # told apart without red/green


def draw_curve(records: list[dict[str, Any]], path: Path, keep: str = "best") -> None:
    """Draw E on train and validation over the epochs, with the line of a model that knows nothing.

    Args:
        records: the lines of metrics.jsonl, a "start" first.
        path: the PNG to write.
        keep: the epoch to mark, whose model is kept: "best" or "last".
    """
    from matplotlib.figure import Figure  # half a second: not for every command
    from matplotlib.ticker import MaxNLocator

    start = next(r for r in records if r["kind"] == "start")
    epochs = [r for r in records if r["kind"] == "epoch"]
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    x = [r["epoch"] for r in epochs]
    axes.axhline(start["baseline"], color=GREY, linestyle=(0, (5, 4)), linewidth=1)
    num_classes = len(start["class_names"])
    axes.annotate(
        f"ln {num_classes} = {start['baseline']:.4f}: knows nothing",
        (1, start["baseline"]),
        xycoords=("axes fraction", "data"),
        xytext=(-6, 5),
        textcoords="offset points",
        ha="right",
        color=GREY,
    )
    axes.plot(x, [r["train"]["E"] for r in epochs], color=TRAIN, label="train", linewidth=1.8)
    val = [start["E"], *[r["val"]["E"] for r in epochs]]
    axes.plot([0, *x], val, color=VAL, label="validation", linewidth=1.8)
    if epochs:
        mark_kept(axes, epochs, keep)
    axes.set(xlabel="epoch", ylabel="E, nats a picture", ylim=(0, None), xlim=(0, None))
    axes.set_title("Cross-entropy E falls from ln K", loc="left", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center right")
    write_atomic(path, lambda temporary: figure.savefig(temporary, format="png"))


def mark_kept(axes: Any, epochs: list[dict[str, Any]], keep: str) -> None:
    """A point on the epoch whose model was kept, with its numbers."""
    kept = epochs[-1] if keep == "last" else min(epochs, key=lambda r: r["val"]["E"])
    E, accuracy = kept["val"]["E"], kept["val"]["accuracy"]
    axes.plot(kept["epoch"], E, "o", color=VAL)
    axes.annotate(
        f"{keep}: E = {E:.4f}, {accuracy:.1%} right",
        (kept["epoch"], E),
        xytext=(0, 60),
        textcoords="offset points",
        ha="right",
        color=VAL,
        arrowprops={"arrowstyle": "-", "color": VAL, "linewidth": 0.8},
    )


def draw_curves(path: Path) -> None:
    """Draw E on validation over the epochs of a group: a thin line per run, and their mean."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    group = Group(path)
    paths = group.runs
    logs = [RunFolder(path).records() for path in paths]
    curves = [[E_of(record) for record in log if record["kind"] != "end"] for log in logs]
    baseline, num_classes = logs[0][0]["baseline"], len(logs[0][0]["class_names"])
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    label = f"ln {num_classes} = {baseline:.4f}: knows nothing"
    axes.axhline(baseline, color=GREY, linestyle=(0, (5, 4)), linewidth=1, label=label)
    for number, curve in enumerate(curves):
        name = f"{paths[0].name} to {paths[-1].name}" if number == 0 else None
        axes.plot(curve, color=VAL, linewidth=0.8, alpha=0.5, label=name)
    shortest = min(map(len, curves))
    mean = np.mean([curve[:shortest] for curve in curves], axis=0)
    axes.plot(mean, color=VAL, linewidth=2.2, label=f"mean of {len(curves)} runs")
    highest = min(max(map(max, curves)), 2 * baseline)  # one wild epoch must not flatten the others
    axes.set(xlabel="epoch", ylabel="E on validation, nats a picture")
    axes.set(ylim=(0, 1.06 * highest), xlim=(0, None))
    axes.set_title(f"E falls from ln {num_classes}", loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    write_atomic(group.curves, lambda temporary: figure.savefig(temporary, format="png"))


def E_of(record: dict[str, Any]) -> float:
    """E on validation in a line of metrics.jsonl: untrained, or of an epoch."""
    E: float = record["E"] if record["kind"] == "start" else record["val"]["E"]
    return E
