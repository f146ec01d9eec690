"""How E fell: the curves of the epochs, and where the time went."""

import math
from collections.abc import Iterator
from typing import Any

from crossent.report.chart import Axis, Chart, Line, thin, whole_ticks
from crossent.report.markup import Markup, details, element, note, table
from crossent.report.state import RunState
from crossent.training.console import duration

Record = dict[str, Any]


def progress(state: RunState) -> Iterator[Markup]:
    """E, accuracy and learning rate over the epochs."""
    if state.start is None:
        yield note("Training has not started yet.")
        return
    if not state.epochs:
        yield note("No epoch is finished yet: the curves begin with the first one.")
    epochs = thin(state.epochs)
    yield element(
        "div",
        chart_of_E(state.start, epochs).markup(),
        chart_of_accuracy(state.start, epochs).markup(),
        *([chart_of_lr(epochs).markup()] if epochs else []),
        element("div", *how_to_read(state)),
        class_="charts",
    )


def how_to_read(state: RunState) -> Iterator[Markup]:
    """What the curves are, and their numbers."""
    yield note(
        "Train counts what the model saw, changed and mixed pictures, while it was still learning; "
        "validation the untouched pictures afterwards. So validation may well be the better one."
    )
    yield note(
        "Point at a curve to read its values; or choose it with the tab key and use the arrow keys."
    )
    if state.epochs:
        yield details("All epochs in numbers", epoch_table(thin(state.epochs, 100)))


def chart_of_E(start: Record, epochs: list[Record]) -> Chart:
    """E from the line of ln K on, with exp(E), the classes still in doubt, on the right."""
    train = [(r["epoch"], r["train"]["E"]) for r in epochs]
    val = [(0, start["E"]), *((r["epoch"], r["val"]["E"]) for r in epochs)]
    num_classes = len(start["class_names"])
    top = max([start["baseline"], *(E for _, E in train + val)])
    high = 1.06 * min(top, 3 * start["baseline"])  # one wild epoch must not flatten the others
    first = (
        f"untrained: E validation {start['E']:.4f} = {math.exp(start['E']):.2f} classes in doubt"
    )
    return Chart(
        title="E, cross-entropy",
        x=epoch_axis(epochs),
        y=Axis("nats a picture; right: exp(E), classes in doubt", 0, high),
        lines=[Line("train", "first", train), Line("validation", "second", val)],
        sentences=[(0, first), *((r["epoch"], sentence_of_E(r)) for r in epochs)],
        references=[
            (start["baseline"], f"ln {num_classes} = {start['baseline']:.4f}: knows nothing")
        ],
        right=[(math.log(count), f"{count:g}") for count in doubt_ticks(math.exp(high))],
    )


def sentence_of_E(record: Record) -> str:
    E = record["val"]["E"]
    return (
        f"epoch {record['epoch']}: E train {record['train']['E']:.4f}, validation {E:.4f} nats = "
        f"{E / math.log(2):.3f} bits; {limited_exp(E):.2f} classes in doubt"
    )


def limited_exp(E: float) -> float:
    return math.exp(min(E, 700.0))  # beyond, there is no such float


def doubt_ticks(most: float) -> list[float]:
    """Numbers of classes for the right scale, few enough to keep apart."""
    if most < 5:
        return [count for count in (1, 1.5, 2, 3, 4) if count <= most]
    return [count for count in (1, 2, 3, 5, 10, 20, 50, 100, 300, 1000) if count <= most]


def chart_of_accuracy(start: Record, epochs: list[Record]) -> Chart:
    """Accuracy, from guessing up."""
    guess = 1 / len(start["class_names"])
    sentences = [
        (
            r["epoch"],
            f"epoch {r['epoch']}: accuracy train {r['train']['accuracy']:.1%}, "
            f"validation {r['val']['accuracy']:.1%}",
        )
        for r in epochs
    ]
    return Chart(
        title="Accuracy",
        x=epoch_axis(epochs),
        y=Axis("share of right answers", 0, 1, "{:.0%}".format),
        lines=[
            Line("train", "first", [(r["epoch"], r["train"]["accuracy"]) for r in epochs]),
            Line("validation", "second", [(r["epoch"], r["val"]["accuracy"]) for r in epochs]),
        ],
        sentences=sentences,
        references=[(guess, f"any of {len(start['class_names'])}: {guess:.1%}")],
    )


def chart_of_lr(epochs: list[Record]) -> Chart:
    """The learning rate at the end of each epoch."""
    points = [(r["epoch"], r["lr"]) for r in epochs]
    return Chart(
        title="Learning rate",
        x=epoch_axis(epochs),
        y=Axis("at the end of the epoch", 0, 1.06 * max(lr for _, lr in points) or 1.0),
        lines=[Line("learning rate", "third", points)],
        sentences=[(x, f"epoch {x}: learning rate {lr:.3g}") for x, lr in points],
    )


def epoch_axis(epochs: list[Record]) -> Axis:
    last = max(1, epochs[-1]["epoch"] if epochs else 1)
    return Axis("epoch", 0, last, ticks=whole_ticks(0, last))


def epoch_table(epochs: list[Record]) -> Markup:
    rows = [
        [
            r["epoch"],
            *(f"{r[split]['E']:.4f}" for split in ("train", "val")),
            *(f"{r[split]['accuracy']:.1%}" for split in ("train", "val")),
            f"{r['lr']:.3g}",
            f"{r['images_per_s']:.0f}",
        ]
        for r in epochs
    ]
    head = ["epoch", "E train", "E val", "acc train", "acc val", "lr", "images/s"]
    return table(head, rows)


def where_the_time_went(state: RunState) -> Iterator[Markup]:
    """Seconds of training and of everything else."""
    if not state.epochs or state.start is None:
        yield note("No epoch is finished yet.")
        return
    elapsed = state.epochs[-1]["elapsed_s"]
    num_train = state.start["num_images"]["train"]
    steps = min(elapsed, sum(num_train / r["images_per_s"] for r in state.epochs))
    rows = [
        ["training steps", duration(steps), f"{steps / elapsed:.0%}"],
        ["validation, saving, start", duration(elapsed - steps), f"{1 - steps / elapsed:.0%}"],
        ["together", duration(elapsed), "100%"],
    ]
    yield table(["what", "time", "share"], rows)
    rates = [r["images_per_s"] for r in state.epochs]
    yield note(
        f"{len(rates)} epochs of {num_train:,} pictures, {sum(rates) / len(rates):.0f} pictures a "
        "second while it trained."
    )
