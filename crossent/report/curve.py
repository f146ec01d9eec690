"""E-curve.png: how E falls from ln K."""

from pathlib import Path
from typing import Any

from crossent.files import write_atomic

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
