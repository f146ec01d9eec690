"""Can its confidence be trusted, and does it look at more than the background?"""

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image

from crossent.evaluation.calibration import Bin, Calibration
from crossent.evaluation.coverage import SHARES, Coverage
from crossent.evaluation.outputs import Outputs
from crossent.evaluation.shortcuts import VIEWS, Shortcuts, mean_colour
from crossent.report.chart import Axis, Chart, Line
from crossent.report.gallery import Gallery, captioned
from crossent.report.markup import Markup, element, note, table, warn
from crossent.report.thumbnail import Pixels, as_image

VIEW_TITLES = {
    "whole": "the whole picture",
    "border": "only the border",
    "centre": "only the centre",
    "grey": "in grey",
}
NUM_EXAMPLES = 3
SHOWN_SIDE = 112  # pixels


def confidence(calibration: Calibration, coverage: Coverage) -> Iterator[Markup]:
    """Reliability diagram and accuracy against coverage."""
    yield note(sentence_of_calibration(calibration))
    yield element(
        "div",
        reliability_diagram(calibration).markup(),
        coverage_chart(coverage).markup(),
        class_="charts",
    )
    rows = []
    for share in SHARES:
        accuracy, least = coverage.at(share)
        rows.append([f"{share:.0%}", accuracy.text(".1%"), f"{least:.2f}"])
    yield table(["the surest", "accuracy (95 % interval)", "ask for y of at least"], rows)


def sentence_of_calibration(c: Calibration) -> str:
    if c.before.value <= c.by_chance.high:
        verdict = "its confidence can be taken at its word, as far as so few can tell"
    else:
        how = "too sure of itself" if c.temperature > 1 else "not sure enough of itself"
        verdict = f"the model is {how}"
    return (
        f"Calibration error (ECE) {c.before.text('.3f')}; a perfectly calibrated model would show "
        f"{c.by_chance.text('.3f')} on so many pictures: {verdict}. The temperature that suits "
        f"the logits best: T = {c.temperature:.2f}."
    )


def reliability_diagram(calibration: Calibration) -> Chart:
    sentences = [(b.confidence, sentence_of_bin(b)) for b in calibration.bins]
    lines = [bin_line("as it is", "second", calibration.bins)]
    return Chart(
        title="Reliability",
        x=Axis("confidence, the largest y", 0, 1),
        y=Axis("share of right answers", 0, 1, "{:.0%}".format),
        lines=lines,
        sentences=sentences,
        diagonal=True,
    )


def bin_line(name: str, class_: str, bins: list[Bin]) -> Line:
    return Line(
        name,
        class_,
        [(b.confidence, b.accuracy.value) for b in bins],
        [(b.accuracy.low, b.accuracy.high) for b in bins],
        marked=True,
    )


def sentence_of_bin(b: Bin) -> str:
    return f"{b.count:,} pictures with y = {b.confidence:.2f}: right {b.accuracy.text('.0%')}"


def coverage_chart(coverage: Coverage) -> Chart:
    """Accuracy on the surest answers; at most 200 points of it."""
    num = len(coverage.coverage)
    chosen = np.unique(np.linspace(0, num - 1, min(num, 200)).round().astype(int))
    points = [(float(coverage.coverage[i]), float(coverage.accuracy[i])) for i in chosen]
    sentences = [
        (x, f"the surest {x:.0%}: {y:.1%} right, with y of at least {coverage.threshold[i]:.2f}")
        for (x, y), i in zip(points, chosen, strict=True)
    ]
    return Chart(
        title="Accuracy on what it is surest of",
        x=Axis("coverage, share of pictures answered", 0, 1, "{:.0%}".format),
        y=Axis("share of right answers", 0, 1, "{:.0%}".format),
        lines=[Line("accuracy", "second", points)],
        sentences=sentences,
        references=[(points[-1][1], f"on all: {points[-1][1]:.1%}")],
        label_left=True,
    )


def snow_test(shortcuts: Shortcuts, gallery: Gallery) -> Iterator[Markup]:
    """Accuracy by view, with a few pictures as the model saw them."""
    yield note(
        "A model may learn the background of its pictures. So they are shown to it with "
        "the middle covered, with the border covered (half of the area each) and without colour. "
        f"Guessing the most frequent class is right {shortcuts.guess:.1%} of the time."
    )
    if shortcuts.warning:
        yield warn(shortcuts.warning)
    rows = [[VIEW_TITLES[name], shortcuts.views[name].text(".1%")] for name in VIEWS]
    rows.append(["nothing: a guess", f"{shortcuts.guess:.1%}"])
    yield table(["what the model sees", "accuracy (95 % interval)"], rows)
    image_set = gallery.image_set
    colour = mean_colour(image_set)
    for row in examples(gallery.outputs):
        images = np.asarray(image_set.images[row : row + 1])
        views = [
            captioned(enlarged(VIEWS[name](images, colour)[0], title), title)
            for name, title in VIEW_TITLES.items()
        ]
        yield element("div", *views, class_="strip")


def examples(outputs: Outputs) -> list[int]:
    """The best known picture of each of the first classes."""
    order = np.argsort(outputs.losses, kind="stable")
    first = {int(outputs.labels[row]): int(row) for row in order[::-1]}
    return [first[k] for k in sorted(first)[:NUM_EXAMPLES]]


def enlarged(pixels: Pixels, title: str) -> Markup:
    return as_image(Image.fromarray(pixels).resize((SHOWN_SIDE, SHOWN_SIDE)), title)


def in_units(E: float) -> str:
    """E as the article's reader may look for it."""
    return f"{E:.4f} nats = {E / math.log(2):.4f} bits = {E / math.log(10):.4f} in base 10"
