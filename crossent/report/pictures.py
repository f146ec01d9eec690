"""Pictures of the report: small JPEGs inside the page, heat maps, and the cards around them."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from crossent.evaluation.scores import Outputs
from crossent.evaluation.shortcuts import VIEWS, mean_colour
from crossent.inference.explain import Explanation
from crossent.inference.heatmap import NoFeatureMap, grad_cam, spotlit
from crossent.model_file import Classifier
from data.decode import UnusableImage, inspect
from data.images import ImageSet

SIDE = 144  # pixels, the longer side
QUALITY = 75
NUM_EXAMPLES = 3  # pictures of a confused pair, and of the background test
VIEW_TITLES = {
    "whole": "the whole picture",
    "border": "only the border",
    "centre": "only the centre",
    "grey": "in grey",
}

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a data URI, with what stands below it and what is read out for it."""

    uri: str
    size: tuple[int, int]
    caption: str
    alt: str
    name: str = ""  # of its file


@dataclass(frozen=True)
class Card:
    """A picture, where the model looked, and the article's numbers."""

    explanation: Explanation
    views: list[Thumbnail]
    E: float  # from the logits: y itself may be too small to be told from 0

    @property
    def equation(self) -> str:
        return f"L = {math.exp(-self.E):.4g}; E = -ln L = {in_units(self.E)}"


def in_units(E: float) -> str:
    """Return E as readers of the article may look for it."""
    return f"{E:.4f} nats = {E / math.log(2):.4f} bits = {E / math.log(10):.4f} in base 10"


@dataclass(frozen=True)
class Gallery:
    """Pictures of one split and the model that looks at them.

    Args:
        root: the folder that the pictures' names are relative to; None where they are no files.
    """

    image_set: ImageSet
    classifier: Classifier
    root: str | None

    def class_name(self, k: int) -> str:
        return self.classifier.class_names[int(k)]

    def thumbnail(self, row: int, caption: str, alt: str = "") -> Thumbnail:
        name = self.image_set.names[row]
        picture = original(self.image_set, row, self.root)
        return make_thumbnail(picture, caption, f"{alt or caption}: {name}", name)

    def cards(self, outputs: Outputs, rows: Sequence[int]) -> list[Card]:
        """Cards of validation pictures; without heat maps if the model has no feature map."""
        labels, predicted = outputs.labels[list(rows)], outputs.predicted[list(rows)]
        maps = [(self.heat_maps(rows, classes), classes) for classes in (predicted, labels)]
        found = []
        for i, row in enumerate(rows):
            name, picture = self.image_set.names[row], original(self.image_set, row, self.root)
            views = [make_thumbnail(picture, "the picture", name, name)]
            for heats, classes in maps[: 1 if labels[i] == predicted[i] else 2]:
                if heats is not None:
                    views.append(spotlight(picture, heats[i], self.class_name(classes[i])))
            explanation = Explanation(
                name, self.classifier.class_names, outputs.probs[row], self.class_name(labels[i])
            )
            found.append(Card(explanation, views, float(outputs.losses[row])))
        return found

    def heat_maps(self, rows: Sequence[int], classes: npt.NDArray[np.int64]) -> Floats | None:
        try:
            return grad_cam(self.classifier, np.asarray(self.image_set.images[list(rows)]), classes)
        except NoFeatureMap:
            return None

    def confused(self, outputs: Outputs, true: int, predicted: int) -> list[Thumbnail]:
        """Some pictures of one class that were taken for another, the largest E first."""
        rows = np.flatnonzero((outputs.labels == true) & (outputs.predicted == predicted))
        worst = rows[np.argsort(-outputs.losses[rows])][:NUM_EXAMPLES]
        alt = f"{self.class_name(true)}, predicted: {self.class_name(predicted)}"
        return [self.thumbnail(row, f"y = {outputs.confidence[row]:.2f}", alt) for row in worst]

    def views(self, outputs: Outputs) -> list[list[Thumbnail]]:
        """The picture with the smallest E of each of the first classes, as each view shows it."""
        colour = mean_colour(self.image_set)
        order = np.argsort(outputs.losses, kind="stable")
        best = {int(outputs.labels[row]): int(row) for row in order[::-1]}
        found = []
        for _, row in sorted(best.items())[:NUM_EXAMPLES]:
            images = np.asarray(self.image_set.images[row : row + 1])
            found.append(
                [
                    make_thumbnail(fitted(VIEWS[name](images, colour)[0]), title, title)
                    for name, title in VIEW_TITLES.items()
                ]
            )
        return found

    def suspects(self, losses: Floats, rows: Sequence[int]) -> list[Thumbnail]:
        """Training pictures with their label, their mean loss and what the model predicts now."""
        size = (self.classifier.preprocessing.image_size,) * 2
        pictures = [  # training pictures are stored larger than the model takes them
            np.asarray(
                Image.fromarray(self.image_set.images[row]).resize(size, Image.Resampling.BILINEAR)
            )
            for row in rows
        ]
        probs = self.classifier.probs(torch.from_numpy(np.stack(pictures))).numpy()
        found = []
        for row, y in zip(rows, probs, strict=True):
            label = f"labelled {self.class_name(self.image_set.labels[row])}"
            text = f"{label}, now predicted {self.class_name(y.argmax())}, y = {y.max():.2f}"
            found.append(self.thumbnail(row, f"{text}; mean E {losses[row]:.2f}", label))
        return found


def spotlight(picture: Image.Image, heat: Floats, class_name: str) -> Thumbnail:
    """Light the picture where the heat map is warm; leave it as it is where no place is."""
    if not heat.any():
        return make_thumbnail(picture, f"nothing for {class_name}", "no place is warm")
    return make_thumbnail(spotlit(picture, heat), f"evidence for {class_name}", "heat map")


def make_thumbnail(picture: Image.Image, caption: str, alt: str, name: str = "") -> Thumbnail:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    return Thumbnail(data_uri(file, "jpeg"), picture.size, caption, alt, name)


def data_uri(file: io.BytesIO, form: str) -> str:
    return f"data:image/{form};base64,{base64.b64encode(file.getvalue()).decode()}"


def original(image_set: ImageSet, row: int, root: str | None) -> Image.Image:
    """Return a small picture in the shape of its file; if that cannot be read, a square one."""
    if root is not None:
        try:
            found = inspect(Path(root) / image_set.names[row], [SIDE])
            return fitted(found.pixels[0], found.facts.width, found.facts.height)
        except (UnusableImage, ValueError):
            pass  # it has gone since, or its name cannot be spelt: the pixels are still there
    return fitted(np.asarray(image_set.images[row]))


def fitted(pixels: npt.NDArray[np.uint8], width: int = SIDE, height: int = SIDE) -> Image.Image:
    """Return square pixels in this shape, its longer side `SIDE`; a sliver keeps a quarter."""
    scale = SIDE / max(width, height)
    size = [max(SIDE // 4, round(side * scale)) for side in (width, height)]
    return Image.fromarray(pixels).resize((size[0], size[1]), Image.Resampling.BICUBIC)


def shares_as_image(shares: npt.NDArray[np.float64]) -> str:
    """Return shares (K, K) as a PNG of K x K pixels that are the darker the larger the share."""
    alpha = Image.fromarray((255 * shares).round().astype(np.uint8))
    picture = Image.new("RGB", alpha.size, (61, 143, 196))
    picture.putalpha(alpha)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return data_uri(file, "png")
