"""Validation pictures with what was said of them, as cards with the article's table."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crossent.evaluation.outputs import Outputs
from crossent.inference.grad_cam import grad_cam
from crossent.loss import article
from crossent.model_file import Classifier
from crossent.report.markup import Markup, element, note, shorten, table_row
from crossent.report.thumbnail import Floats, Picture, picture_of
from data.images import ImageSet

NUM_WORST = 8
NUM_BEST = 4
MAX_CLASSES = 4  # rows of a card's table, the label besides


@dataclass(frozen=True)
class Gallery:
    """The pictures, the model, and what it said."""

    image_set: ImageSet
    outputs: Outputs
    classifier: Classifier
    root: str | None  # of the files

    @property
    def class_names(self) -> list[str]:
        return self.classifier.class_names

    def picture(self, row: int) -> Picture:
        return picture_of(self.image_set, row, self.root)

    def sentence(self, row: int) -> str:
        """What it is, and what was said."""
        label, said = (
            shorten(self.class_names[k], 30)
            for k in (self.outputs.labels[row], self.outputs.predicted[row])
        )
        confidence = self.outputs.confidence[row]
        return f"{label}, said to be {said} with y = {confidence:.2f}"

    def thumbnail(self, row: int) -> Markup:
        """The picture alone, with a caption."""
        picture = self.picture(row)
        sentence = self.sentence(row)
        return element(
            "figure",
            picture.thumbnail(f"{sentence}: {picture.name}"),
            element("figcaption", shorten(picture.name, 40), title=shorten(picture.name, 300)),
        )

    def heat(self, rows: Sequence[int], classes: npt.NDArray[np.int64]) -> Floats:
        return grad_cam(self.classifier, np.asarray(self.image_set.images[list(rows)]), classes)


def worst_and_best(gallery: Gallery) -> Iterator[Markup]:
    """The pictures with the largest and with the smallest E."""
    order = np.argsort(-gallery.outputs.losses, kind="stable")
    num_best = min(NUM_BEST, len(order) // 2)
    num_worst = min(NUM_WORST, len(order) - num_best)
    yield note(
        "The light shows where the last feature map speaks for a class (Grad-CAM), the line where "
        "it does so by half or more: for what was said, and, where that is wrong, for what it is. "
        "The map is coarse, so the light is."
    )
    yield element("h3", "Largest E")
    yield cards(gallery, [int(row) for row in order[:num_worst]])
    if num_best:
        yield element("h3", "Smallest E")
        yield cards(gallery, [int(row) for row in order[::-1][:num_best]])


def cards(gallery: Gallery, rows: Sequence[int]) -> Markup:
    outputs = gallery.outputs
    of_said = gallery.heat(rows, outputs.predicted[list(rows)])
    of_true = gallery.heat(rows, outputs.labels[list(rows)])
    found = [card(gallery, *of_row) for of_row in zip(rows, of_said, of_true, strict=True)]
    return element("div", *found, class_="cards")


def card(
    gallery: Gallery,
    row: int,
    of_said: Floats,
    of_true: Floats,
) -> Markup:
    """A picture, where the model looked, and how its E comes about."""
    picture, outputs = gallery.picture(row), gallery.outputs
    label, said = (gallery.class_names[k] for k in (outputs.labels[row], outputs.predicted[row]))
    views = [captioned(picture.thumbnail(gallery.sentence(row)), "the picture")]
    views.append(view(picture, of_said, said))
    if label != said:
        views.append(view(picture, of_true, label))
    verdict = "right" if label == said else "wrong"
    title = f"{shorten(label, 30)}, said: {shorten(said, 30)} ({verdict})"
    return element(
        "article",
        element("h4", title),
        element("p", shorten(picture.name), title=shorten(picture.name, 300), class_="name"),
        element("div", *views, class_="strip"),
        article_table(outputs, row, gallery.class_names),
        class_="card",
    )


def view(picture: Picture, heat: Floats, class_name: str) -> Markup:
    name = shorten(class_name, 20)
    if not heat.any():
        return captioned(picture.thumbnail(f"nothing speaks for {name}"), f"nothing for {name}")
    return captioned(picture.spotlight(heat, f"what speaks for {name}"), f"speaks for {name}")


def captioned(image: Markup, caption: str) -> Markup:
    return element("figure", image, element("figcaption", caption))


def article_table(outputs: Outputs, row: int, class_names: Sequence[str]) -> Markup:
    """y, t, L and E of one picture, as in the article's example."""
    probs, label = outputs.probs[row], int(outputs.labels[row])
    shown = sorted({label, *np.argsort(-probs, kind="stable")[:MAX_CLASSES].tolist()})
    rows = [
        table_row(shorten(class_names[k], 24), f"{probs[k]:.4f}", int(k == label)) for k in shown
    ]
    num_others = len(probs) - len(shown)
    if num_others:
        rest = max(0.0, 1 - probs[shown].sum())
        rows.append(table_row(f"{num_others} others", f"{rest:.4f}", 0))
    head = [element("th", text, scope="col") for text in ("class k", "y", "t")]
    return element(
        "div",
        element("table", element("thead", element("tr", *head)), element("tbody", *rows)),
        element("p", likelihood_and_E(outputs, row), class_="equation"),
    )


def likelihood_and_E(outputs: Outputs, row: int) -> str:
    """L and E; from the logits, where y itself is too small to be told from 0."""
    E = float(outputs.losses[row])
    bits, dits = E / math.log(2), E / math.log(10)
    return (
        f"L = {article.likelihood([math.exp(-E)], [1]):.4g}; E = -ln L = {E:.4f} nats"
        f" = {bits:.4f} bits = {dits:.4f} in base 10"
    )
