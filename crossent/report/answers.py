"""What was said of which class: confusion matrix, scores by class, the most confused pairs."""

from collections.abc import Iterator, Sequence

import numpy as np

from crossent.evaluation.intervals import Interval
from crossent.evaluation.scores import Metrics, Scores
from crossent.report.gallery import Gallery
from crossent.report.markup import Markup, element, note, shorten, table

MAX_CELLS = 20  # classes that a table with a number in every cell can show
MAX_DRAWN = 300  # and a drawing of it
MAX_ROWS = 200
NUM_PAIRS = 5
NUM_EACH = 3  # pictures of a pair
NUM_SHADES = 8


def answers(scores: Scores, class_names: Sequence[str], gallery: Gallery) -> Iterator[Markup]:
    """All of it."""
    yield element("h3", "Confusion")
    yield confusion(scores.metrics, class_names)
    yield element("h3", "By class")
    yield note(
        "Precision: of the answers with this class, how many were right. Recall: of its pictures, "
        "how many were found. F1: the two in one. The bars are 95 % intervals."
    )
    yield class_table(scores, class_names)
    pairs = scores.metrics.most_confused()[:NUM_PAIRS]
    if pairs:
        yield element("h3", "Most confused")
        yield element("ul", *(pair(*p, class_names, gallery) for p in pairs), class_="pairs")


def confusion(metrics: Metrics, class_names: Sequence[str]) -> Markup:
    if len(class_names) <= MAX_CELLS:
        return confusion_table(metrics, class_names)
    if len(class_names) <= MAX_DRAWN:
        return confusion_drawing(metrics, class_names)
    return note(f"{len(class_names)} classes are too many to draw; the pairs below tell most.")


def confusion_table(metrics: Metrics, class_names: Sequence[str]) -> Markup:
    """Rows true, columns said; the shade is the share of the row, the number says it too."""
    names = [shorten(name, 24) for name in class_names]
    head = [element("th", "is \\ said", scope="col")]
    head += [element("th", name, scope="col") for name in names]
    rows = []
    for k, name in enumerate(names):
        cells = [
            cell(count, metrics.support[k], j == k) for j, count in enumerate(metrics.confusion[k])
        ]
        rows.append(element("tr", element("th", name, scope="row"), *cells))
    found = element(
        "table",
        element(
            "caption", "Rows: what it is. Columns: what was said. Share of the row's pictures."
        ),
        element("thead", element("tr", *head)),
        element("tbody", *rows),
        class_="confusion",
    )
    return element("div", found, class_="scroll", tabindex=0, role="group", aria_label="confusion")


def cell(count: int, support: int, is_right: bool) -> Markup:
    share = count / support if support else 0.0
    percent = element("small", f"{share:.0%}") if support else None
    shade = f"--share:{share:.2f}"
    return element("td", f"{count:,}", percent, style=shade, class_="right" if is_right else None)


def confusion_drawing(metrics: Metrics, class_names: Sequence[str]) -> Markup:
    """Too many classes for numbers: a square of shades, one path for each shade."""
    shares = metrics.confusion / np.maximum(metrics.support, 1)[:, None]
    levels = np.ceil(shares * NUM_SHADES).astype(int)
    paths = []
    for level in range(1, NUM_SHADES + 1):
        cells = "".join(f"M{j} {i}h1v1h-1z" for i, j in np.argwhere(levels == level))
        if cells:
            paths.append(element("path", d=cells, opacity=round(level / NUM_SHADES, 3)))
    size = len(class_names)
    drawing = element(
        "svg", *paths, viewBox=f"0 0 {size} {size}", role="img", class_="matrix",
        aria_label=f"confusion of {size} classes, mostly on the diagonal if it is good",
    )  # fmt: skip
    caption = "Rows: what it is. Columns: what was said. The darker, the larger the row's share."
    return element("figure", element("figcaption", caption), drawing)


def class_table(scores: Scores, class_names: Sequence[str]) -> Markup:
    """A row a class; of very many, those with the smallest F1."""
    order: Sequence[int] = range(len(class_names))
    if len(class_names) > MAX_ROWS:
        f1 = np.array([interval.value for interval in scores.f1])
        order = [int(k) for k in np.argsort(f1)[:MAX_ROWS]]
    rows = [
        [
            shorten(class_names[k], 40),
            f"{scores.metrics.support[k]:,}",
            *(with_bar(column[k]) for column in (scores.precision, scores.recall, scores.f1)),
        ]
        for k in order
    ]
    return table(["class", "pictures", "precision", "recall", "F1"], rows, class_="scores")


def with_bar(interval: Interval) -> Markup:
    """The number, its interval drawn from 0 to 1, and in words for those who cannot see that."""
    if interval.to_dict() is None:
        return element("span", "-", title="there is nothing to measure it with")
    low, value, high = (round(100 * x, 1) for x in (interval.low, interval.value, interval.high))
    bar = element(
        "svg",
        element("line", x1=0, x2=100, y1=5, y2=5, class_="grid"),
        element("line", x1=low, x2=high, y1=5, y2=5, class_="range"),
        element("circle", cx=value, cy=5, r=4),
        viewBox="-5 0 110 10",
        preserveAspectRatio="xMinYMid",
        class_="bar",
        aria_hidden="true",
    )
    return element("span", f"{interval.value:.2f} ", element("small", interval.range(".2f")), bar)


def pair(true: int, said: int, count: int, class_names: Sequence[str], gallery: Gallery) -> Markup:
    """A pair of classes with a few of its pictures, the worst first."""
    outputs = gallery.outputs
    rows = np.flatnonzero((outputs.labels == true) & (outputs.predicted == said))
    worst = rows[np.argsort(-outputs.losses[rows])][:NUM_EACH]
    text = f"{shorten(class_names[true], 30)} taken for {shorten(class_names[said], 30)}: {count}"
    pictures = [gallery.thumbnail(int(row)) for row in worst]
    return element("li", element("p", text), element("div", *pictures, class_="strip"))
