"""Pictures of the report: small JPEGs inside the page, heat maps, and the cards around them."""

import base64
import io
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from crossent.evaluation.measure import VIEW_NAMES
from crossent.evaluation.scores import Outputs
from crossent.evaluation.shortcuts import mean_colour, views_of
from crossent.inference.explain import Explanation
from crossent.inference.heatmap import evidence, in_shape
from crossent.model_file import Classifier
from data.decode import UnusableImage, inspect
from data.images import ImageSet
from data.table import printable

SIDE = 144  # pixels, the longer side
NUM_EXAMPLES = 3  # pictures of a confused pair
VIEW_TITLES = {"whole": "the whole picture", **VIEW_NAMES}


class Thumbnail(NamedTuple):
    """A picture as a data URI, with what stands below it and what is read out for it."""

    uri: str
    size: tuple[int, int]
    caption: str
    alt: str
    name: str = ""  # of its file


class Card(NamedTuple):
    """A picture, where the model looked, and the article's numbers."""

    explanation: Explanation
    views: list[Thumbnail]
    equation: str


class Gallery(NamedTuple):
    """Pictures of one split and the model that looks at them.

    Args:
        root: the folder that the pictures' names are relative to; None where they are no files.
    """

    image_set: ImageSet
    classifier: Classifier
    root: str | None

    def original(self, row: int) -> Image.Image:
        """Return a small picture in the shape of its file; if that cannot be read, a square."""
        if self.root is not None:
            # it may have gone since, or its name cannot be spelt: the pixels are still there
            with suppress(UnusableImage, ValueError):
                return small(Path(self.root) / self.image_set.names[row])
        return in_shape(np.asarray(self.image_set.images[row]), 1, 1, SIDE)

    def thumbnail(self, row: int, caption: str, alt: str) -> Thumbnail:
        name = printable(self.image_set.names[row])
        return make_thumbnail(self.original(row), caption, f"{alt}: {name}", name)

    def card(self, outputs: Outputs, row: int) -> Card:
        """Return the card of a validation picture, with the heat maps that say something."""
        name, names = printable(self.image_set.names[row]), self.classifier.class_names
        label, predicted = outputs.labels[row], outputs.predicted[row]
        picture, pixels = self.original(row), np.asarray(self.image_set.images[row])
        views = [make_thumbnail(picture, "the picture", name, name)]
        for k in dict.fromkeys((predicted, label)):
            lit = evidence(self.classifier, pixels, k, picture)
            if lit is not None:
                views.append(make_thumbnail(lit, f"evidence for {names[k]}", "heat map"))
        # from the logits: y itself may be too small to be told from 0
        E = float(outputs.losses[row])
        equation = f"L = {math.exp(-E):.4g}; E = -ln L = {E:.4f} nats"
        return Card(Explanation(name, names, outputs.probs[row], names[label]), views, equation)

    def confused(self, outputs: Outputs, true: int, predicted: int) -> list[Thumbnail]:
        """Return some pictures of one class predicted as another, the largest E first."""
        rows = np.flatnonzero((outputs.labels == true) & (outputs.predicted == predicted))
        worst = rows[np.argsort(-outputs.losses[rows])][:NUM_EXAMPLES]
        names = self.classifier.class_names
        alt = f"{names[true]}, predicted: {names[predicted]}"
        return [self.thumbnail(row, f"y = {outputs.confidence[row]:.2f}", alt) for row in worst]

    def views(self, outputs: Outputs) -> list[Thumbnail]:
        """Return the picture with the smallest E as each view of the background test shows it."""
        row = int(np.argmin(outputs.losses))
        views = views_of(self.image_set.images[row : row + 1], mean_colour(self.image_set))
        titles = {t: views[name][0] for name, t in VIEW_TITLES.items()}
        return [make_thumbnail(in_shape(p, 1, 1, SIDE), t, t) for t, p in titles.items()]

    def suspects(self, losses: npt.NDArray[np.float32], rows: Sequence[int]) -> list[Thumbnail]:
        """Return training pictures with their label, their mean E and the prediction of now."""
        names, size = self.classifier.class_names, self.classifier.preprocessing.image_size
        found = []
        for row in rows:
            # training pictures are stored larger than the model takes them
            stored = Image.fromarray(np.asarray(self.image_set.images[row]))
            pixels = np.array(stored.resize((size, size), Image.Resampling.BILINEAR))
            y = self.classifier.probs(torch.from_numpy(pixels)[None])[0]
            label = f"labelled {names[self.image_set.labels[row]]}"
            text = f"{label}, now predicted {names[int(y.argmax())]}, y = {y.max():.2f}"
            found.append(self.thumbnail(row, f"{text}; mean E {losses[row]:.2f}", label))
        return found


def small(path: Path) -> Image.Image:
    """Return a small picture in the shape of its file.

    Raises:
        UnusableImage: the file is no picture, or gone.
    """
    found = inspect(path, [SIDE])
    return in_shape(found.pixels[0], found.facts.width, found.facts.height, SIDE)


def make_thumbnail(picture: Image.Image, caption: str, alt: str = "", name: str = "") -> Thumbnail:
    file = io.BytesIO()
    picture.save(file, "jpeg", optimize=True, quality=75)
    uri = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Thumbnail(uri, picture.size, caption, alt or caption, name)
