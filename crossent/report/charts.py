"""Matplotlib charts: a PNG, or an SVG that takes its colours from the page.

The same function draws E against the epochs for E-curve.png, the report and a group of runs.
"""

import io
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from crossent.evaluation.confidence import calibration, reliability
from crossent.evaluation.scores import Outputs
from crossent.experiments.group import Group
from crossent.files import write_atomic
from crossent.training.run_folder import RunFolder

Options = dict[str, Any]  # keyword arguments of matplotlib
Draw = Callable[[Any], None]  # takes matplotlib's Axes
Record = dict[str, Any]  # a line of metrics.jsonl
Curve = tuple[int, Sequence[float], Options]  # the first epoch (0: untrained), values, style
# Based on the palette of Okabe and Ito, whose colours differ for colour-blind readers too.
# In an SVG each becomes var(--name), which page.html defines for light and for dark pages.
COLOURS = {
    "ink": "#1c1c1c", "soft": "#5c5c5c", "rule": "#d9d9d6", "first": "#0067a5", "second": "#c04a00",
}  # fmt: skip
TRAIN: Options = {"color": COLOURS["first"], "linestyle": (0, (4, 2)), "label": "train"}
VAL: Options = {"color": COLOURS["second"], "label": "validation"}
REFERENCE: Options = {"color": COLOURS["soft"], "linestyle": (0, (1, 2)), "linewidth": 1.2}
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "text.color": COLOURS["ink"], "axes.labelcolor": COLOURS["soft"],
    "xtick.color": COLOURS["soft"], "ytick.color": COLOURS["soft"],
    "axes.edgecolor": COLOURS["soft"], "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.grid.axis": "y", "grid.color": COLOURS["rule"],
    "axes.axisbelow": True, "legend.frameon": False, "lines.linewidth": 1.8,
}  # fmt: skip


class Chart(NamedTuple):
    """A drawing with its title, and a sentence with its content for readers who cannot see it."""

    title: str
    svg: Markup
    sentence: str


def draw_file(draw: Draw, size: tuple[float, float], file: Any, **options: Any) -> None:
    """Write what `draw` draws in axes with `savefig`, and the legend above; `size` in inches."""
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    draw(figure.subplots())
    figure.legend(loc="outside upper left", ncols=2, columnspacing=1.2)
    figure.savefig(file, **options)


def make_chart(title: str, sentence: str, draw: Draw) -> Chart:
    """Draw a chart for a page: the same bytes each time, and ids that no other chart has."""
    file, no_date = io.StringIO(), dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": title}):
        draw_file(draw, (4.6, 2.7), file, format="svg", transparent=True, metadata=no_date)
    svg = re.sub(r'<g id="[^"]*">', "<g>", file.getvalue().partition("<svg")[2])
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return Chart(title, Markup(f'<svg role="img" aria-label="{title}"{svg}'), sentence)


def write_png(path: Path, start: Record, curves: Sequence[Curve]) -> None:
    draw = partial(draw_E, start, curves)
    with matplotlib.rc_context(STYLE):
        write_atomic(path, lambda temporary: draw_file(draw, (8, 4.5), temporary, format="png"))


def draw_curve(records: list[Record], kept: int, path: Path) -> None:
    """Write E on train and validation against the epochs as a PNG.

    Args:
        records: the lines of metrics.jsonl, "start" first.
        kept: the epoch of the model in the run folder; 0 if there is none.
    """
    write_png(path, records[0], curves_of(records, kept))


def draw_curves(path: Path) -> None:
    """Write E on validation of a group as a PNG: a thin line per run, and their mean."""
    group = Group(path)
    logs = [RunFolder(run).records() for run in group.runs]
    runs = [E_on_val(log) for log in logs]
    mean = np.mean([run[: min(map(len, runs))] for run in runs], axis=0).tolist()
    thin: Options = {"color": VAL["color"], "linewidth": 0.8, "alpha": 0.5}
    first = {**thin, "label": f"{group.runs[0].name} to {group.runs[-1].name}"}  # for all of them
    curves: list[Curve] = [(0, runs[0], first), *((0, run, thin) for run in runs[1:])]
    curves.append((0, mean, {**VAL, "label": f"mean of {len(runs)} runs"}))
    write_png(group.curves, logs[0][0], curves)


def chart_of_E(records: list[Record], kept: int) -> Chart:
    """Draw the same as `draw_curve`, for the report."""
    E = E_on_val(records)
    sentence = f"E on validation is {E[0]:.4f} nats for the untrained model"
    if kept:
        sentence += f" and {E[kept]:.4f} nats for the kept model, of epoch {kept}"
    draw = partial(draw_E, records[0], curves_of(records, kept))
    return make_chart("Cross-entropy E", f"{sentence}.", draw)


def curves_of(records: list[Record], kept: int) -> list[Curve]:
    """Return E on train, E on validation, and the point of the epoch whose model is kept."""
    val = E_on_val(records)
    train = [r["train"]["E"] for r in records if r["kind"] == "epoch"]
    if not train:
        return [(0, val, {**VAL, "marker": "o"})]
    label = f"kept: epoch {kept}, E = {val[kept]:.4f}"
    mark: Options = {"color": VAL["color"], "marker": "o", "linestyle": "none", "label": label}
    return [(1, train, TRAIN), (0, val, VAL), (kept, [val[kept]], mark)]


def E_on_val(records: list[Record]) -> list[float]:
    """Return E on validation, of the untrained model and after each epoch."""
    return [records[0]["E"], *(r["val"]["E"] for r in records if r["kind"] == "epoch")]


def draw_E(start: Record, curves: Sequence[Curve], axes: Any) -> None:
    draw_epochs(axes, curves)
    baseline = start["baseline"]
    label = f"ln {len(start['class_names'])} = {baseline:.4f}, untrained"
    axes.axhline(baseline, label=label, **REFERENCE)
    highest = max(baseline, *(max(E) for _, E, _ in curves))
    top = 1.06 * min(highest, 3 * baseline)  # one very high epoch must not flatten the others
    axes.set(ylabel="E, nats per picture", ylim=(0, top))


def draw_epochs(axes: Any, curves: Sequence[Curve]) -> None:
    for first, values, style in curves:
        axes.plot(range(first, first + len(values)), values, **style)
    axes.set(xlabel="epoch", xlim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def chart_of_accuracy(epochs: Sequence[Record]) -> Chart:
    train, val = ([r[split]["accuracy"] for r in epochs] for split in ("train", "val"))
    best = int(np.argmax(val))

    def draw(axes: Any) -> None:
        draw_epochs(axes, [(1, train, TRAIN), (1, val, VAL)])
        format_accuracy_axis(axes)

    sentence = (
        f"Accuracy on validation is {val[-1]:.1%} after epoch {len(val)}; the highest is "
        f"{val[best]:.1%}, after epoch {best + 1}."
    )
    return make_chart("Accuracy", sentence, draw)


def chart_of_reliability(outputs: Outputs) -> Chart:
    """Draw the share of correct predictions against the confidence."""
    x, correct, low, high = reliability(outputs).T

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], label="calibrated", **REFERENCE)
        style = {"color": COLOURS["second"], "fmt": "o", "markersize": 4, "elinewidth": 1}
        axes.errorbar(x, correct, [correct - low, high - correct], label="model", **style)
        axes.set(xlabel="confidence, the largest y", xlim=(0, 1))
        format_accuracy_axis(axes)

    return make_chart("Reliability", f"{calibration(outputs)}. Bars: 95 % intervals.", draw)


def format_accuracy_axis(axes: Any) -> None:
    axes.set(ylabel="correct predictions", ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
