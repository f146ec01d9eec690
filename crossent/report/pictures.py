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

from crossent.evaluation.scores import Outputs
from crossent.evaluation.shortcuts import mean_colour, views_of
from crossent.inference.explain import Explanation
from crossent.inference.heatmap import NoFeatureMap, grad_cam, in_shape, spotlit
from crossent.model_file import Classifier
from data.decode import UnusableImage, inspect
from data.images import ImageSet

SIDE = 144  # pixels, the longer side
NUM_EXAMPLES = 3  # pictures of a confused pair, and of the background test
VIEW_TITLES = {
    "whole": "the whole picture",
    "border": "only the border",
    "centre": "only the centre",
    "grey": "in grey",
}


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


def in_units(E: float) -> str:
    """Return E as readers of the article may look for it."""
    return f"{E:.4f} nats = {E / math.log(2):.4f} bits = {E / math.log(10):.4f} in base 10"


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
                found = inspect(Path(self.root) / self.image_set.names[row], [SIDE])
                return in_shape(found.pixels[0], found.facts.width, found.facts.height, SIDE)
        return in_shape(np.asarray(self.image_set.images[row]), 1, 1, SIDE)

    def thumbnail(self, row: int, caption: str, alt: str = "") -> Thumbnail:
        name = self.image_set.names[row]
        return make_thumbnail(self.original(row), caption, f"{alt or caption}: {name}", name)

    def card(self, outputs: Outputs, row: int) -> Card:
        """The card of a validation picture; without heat maps if there is no feature map."""
        name, names = self.image_set.names[row], self.classifier.class_names
        label, predicted = outputs.labels[row], outputs.predicted[row]
        picture = self.original(row)
        views = [make_thumbnail(picture, "the picture", name, name)]
        classes = [predicted] if label == predicted else [predicted, label]
        images = np.asarray(self.image_set.images[[row] * len(classes)])
        with suppress(NoFeatureMap):
            heats = grad_cam(self.classifier, images, np.array(classes))
            for heat, k in zip(heats, classes, strict=True):
                if heat.any():
                    caption, view = f"evidence for {names[k]}", spotlit(picture, heat)
                else:
                    caption, view = f"nothing for {names[k]}", picture
                views.append(make_thumbnail(view, caption, "heat map"))
        # from the logits: y itself may be too small to be told from 0
        E = float(outputs.losses[row])
        equation = f"L = {math.exp(-E):.4g}; E = -ln L = {in_units(E)}"
        return Card(Explanation(name, names, outputs.probs[row], names[label]), views, equation)

    def confused(self, outputs: Outputs, true: int, predicted: int) -> list[Thumbnail]:
        """Some pictures of one class that were taken for another, the largest E first."""
        rows = np.flatnonzero((outputs.labels == true) & (outputs.predicted == predicted))
        worst = rows[np.argsort(-outputs.losses[rows])][:NUM_EXAMPLES]
        names = self.classifier.class_names
        alt = f"{names[true]}, predicted: {names[predicted]}"
        return [self.thumbnail(row, f"y = {outputs.confidence[row]:.2f}", alt) for row in worst]

    def views(self, outputs: Outputs) -> list[list[Thumbnail]]:
        """The picture with the smallest E of each of the first classes, as each view shows it."""
        colour = mean_colour(self.image_set)
        order = np.argsort(outputs.losses, kind="stable")
        best = {int(outputs.labels[row]): int(row) for row in order[::-1]}
        found = []
        for _, row in sorted(best.items())[:NUM_EXAMPLES]:
            images = np.asarray(self.image_set.images[row : row + 1])
            views = views_of(images, colour)
            shown = {t: views[name][0] for name, t in VIEW_TITLES.items()}
            found.append([make_thumbnail(in_shape(p, 1, 1, SIDE), t, t) for t, p in shown.items()])
        return found

    def suspects(self, losses: npt.NDArray[np.float32], rows: Sequence[int]) -> list[Thumbnail]:
        """Training pictures with their label, their mean loss and what the model predicts now."""
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


def make_thumbnail(picture: Image.Image, caption: str, alt: str, name: str = "") -> Thumbnail:
    uri = data_uri(picture, "jpeg", quality=75)
    return Thumbnail(uri, picture.size, caption, alt, name)


def shares_as_image(shares: npt.NDArray[np.float64]) -> str:
    """Return shares (K, K) as a PNG of K x K pixels that are the darker the larger the share."""
    alpha = Image.fromarray((255 * shares).round().astype(np.uint8))
    picture = Image.new("RGB", alpha.size, (61, 143, 196))
    picture.putalpha(alpha)
    return data_uri(picture, "png")


def data_uri(picture: Image.Image, form: str, **options: int) -> str:
    file = io.BytesIO()
    picture.save(file, form, optimize=True, **options)
    return f"data:image/{form};base64,{base64.b64encode(file.getvalue()).decode()}"
