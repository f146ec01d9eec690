"""Charts of matplotlib: a PNG for a file, or an SVG that takes its colours from the page."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from crossent.evaluation.confidence import Calibration, Coverage

Options = dict[str, Any]  # keyword arguments of matplotlib
# Of Okabe and Ito, told apart without red and green; dashes and marks do without any colour.
# In an SVG each becomes var(--name), which page.css defines for light and for dark pages.
COLOURS = {
    "ink": "#1c1c1c", "soft": "#5c5c5c", "rule": "#d9d9d6",
    "first": "#0067a5", "second": "#c04a00", "third": "#00755a",
}  # fmt: skip
TRAIN: Options = {"color": COLOURS["first"], "linestyle": (0, (4, 2)), "label": "train"}
VAL: Options = {"color": COLOURS["second"], "label": "validation"}
REFERENCE: Options = {"color": COLOURS["soft"], "linestyle": (0, (1, 2)), "linewidth": 1.2}
STYLE: Options = {
    "svg.fonttype": "none",  # text stays text
    "text.color": COLOURS["ink"], "axes.labelcolor": COLOURS["soft"],
    "xtick.color": COLOURS["soft"], "ytick.color": COLOURS["soft"],
    "axes.edgecolor": COLOURS["soft"], "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.grid.axis": "y", "grid.color": COLOURS["rule"],
    "axes.axisbelow": True, "legend.frameon": False, "lines.linewidth": 1.8,
}  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """A drawing with its title and a sentence that tells the same to those who cannot see it."""

    title: str
    svg: Markup
    sentence: str


def make_chart(title: str, sentence: str, draw: Callable[[Any], None]) -> Chart:
    """Draw a chart for a page: the same bytes each time, and no id twice on the page."""
    no_date = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    svg = draw_file(draw, (4.2, 2.9), title, format="svg", transparent=True, metadata=no_date)
    text = re.sub(r'<g id="[^"]*">', "<g>", svg[svg.index(b"<svg") :].decode())
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    text = text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
    return Chart(title, Markup(text), sentence)


def draw_file(
    draw: Callable[[Any], None], size: tuple[float, float], salt: str, **options: Any
) -> bytes:
    """Return the file of what `draw` draws in a pair of axes, with the legend above them.

    Args:
        draw: takes the axes.
        size: width and height in inches.
        salt: of the ids in an SVG.
        options: of matplotlib's `savefig`.
    """
    file = io.BytesIO()
    style: Any = {**STYLE, "svg.hashsalt": salt}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        draw(figure.subplots())
        figure.legend(loc="outside upper left", ncols=2, columnspacing=1.2)
        figure.savefig(file, **options)
    return file.getvalue()


def count_epochs(axes: Any) -> None:
    axes.set(xlabel="epoch", xlim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def count_correct(axes: Any) -> None:
    axes.set(ylabel="correct predictions", ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def chart_of_accuracy(epochs: Sequence[dict[str, Any]], num_classes: int) -> Chart:
    """Draw the accuracy over the epochs, from guessing up."""
    x, guess = [r["epoch"] for r in epochs], 1 / num_classes
    train, val = ([r[split]["accuracy"] for r in epochs] for split in ("train", "val"))

    def draw(axes: Any) -> None:
        axes.plot(x, train, **TRAIN)
        axes.plot(x, val, **VAL)
        axes.axhline(guess, label=f"guessing: {guess:.1%}", **REFERENCE)
        count_epochs(axes)
        count_correct(axes)

    best = int(np.argmax(val))
    sentence = (
        f"Accuracy on validation was {val[0]:.1%} after epoch {x[0]}, {val[-1]:.1%} after epoch "
        f"{x[-1]}, and highest after epoch {x[best]}: {val[best]:.1%}."
    )
    return make_chart("Accuracy", sentence, draw)


def chart_of_lr(epochs: Sequence[dict[str, Any]]) -> Chart:
    """Draw the learning rate at the end of each epoch."""
    x, lr = [r["epoch"] for r in epochs], [r["lr"] for r in epochs]

    def draw(axes: Any) -> None:
        axes.plot(x, lr, color=COLOURS["third"], label="at the end of each epoch")
        axes.set(ylabel="learning rate", ylim=(0, None))
        count_epochs(axes)

    return make_chart(
        "Learning rate", f"The highest is {max(lr):.3g}, the last {lr[-1]:.3g}.", draw
    )


def chart_of_reliability(calibration: Calibration) -> Chart:
    """Draw how often predictions are correct against how confident they are."""
    x, count, correct, low, high = np.array(
        [(b.confidence, b.count, *b.accuracy) for b in calibration.bins]
    ).T

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], label="calibrated", **REFERENCE)
        style = {"color": COLOURS["second"], "marker": "o", "markersize": 4, "elinewidth": 1}
        axes.errorbar(x, correct, [correct - low, high - correct], label="model", **style)
        axes.set(xlabel="confidence, the largest y", xlim=(0, 1))
        count_correct(axes)

    means = np.average(x, weights=count), np.average(correct, weights=count)
    sentence = "The mean confidence is {:.1%}; {:.1%} of predictions are correct. Bars: 95 %."
    return make_chart("Reliability", sentence.format(*means), draw)


def chart_of_coverage(coverage: Coverage) -> Chart:
    """Draw the accuracy on the most confident predictions against how many these are."""
    overall, half = coverage.accuracy[-1], coverage.at(0.5)[0].value

    def draw(axes: Any) -> None:
        style = {**VAL, "label": "most confident first"}
        axes.plot(coverage.coverage, coverage.accuracy, **style)
        axes.axhline(overall, label=f"all: {overall:.1%}", **REFERENCE)
        axes.set(xlabel="coverage, share of pictures", xlim=(0, 1))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        count_correct(axes)

    sentence = f"On all pictures {overall:.1%} are correct, on the most confident half {half:.1%}."
    return make_chart("Accuracy against coverage", sentence, draw)
