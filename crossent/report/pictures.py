"""Pictures of a run: mistakes, heat maps, doubtful labels, and a batch as the model sees it."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from crossent.build import make_batches, make_data
from crossent.config import Settings
from crossent.evaluation.scores import Outputs
from crossent.files import write_atomic
from crossent.inference.heatmap import evidence, to_shape
from crossent.model_file import Classifier
from crossent.report.page import SIDE, load_small, thumbnail
from crossent.training.distributed import ALONE
from data.images import Data, ImageSet, printable

COLUMNS, ROWS = 8, 4  # of preview.png


class Gallery(NamedTuple):
    """The pictures of one split, and the model that predicts them."""

    image_set: ImageSet
    classifier: Classifier
    root: str | None  # the folder of the pictures; None if they are not files

    def original(self, row: int) -> Image.Image:
        """Return a small version of the picture; a square if its file cannot be read."""
        if self.root is not None:
            small = load_small(Path(self.root) / self.image_set.names[row])
            if small is not None:
                return small
        return to_shape(np.asarray(self.image_set.images[row]), 1, 1, SIDE)

    def card(self, outputs: Outputs, row: int) -> dict[str, Any]:
        """Return a picture with its E and the heat maps for the prediction and the label."""
        name, names = printable(self.image_set.names[row]), self.classifier.class_names
        label, predicted = outputs.labels[row], outputs.predicted[row]
        picture, pixels = self.original(row), np.asarray(self.image_set.images[row])
        views = [thumbnail(picture, "the picture", name)]
        for k in dict.fromkeys((predicted, label)):
            lit = evidence(self.classifier, pixels, k, picture)
            if lit is not None:
                views.append(thumbnail(lit, f"evidence for {names[k]}", "heat map"))
        y, E = outputs.confidence[row], float(outputs.losses[row])
        verdict = "correct" if label == predicted else "wrong"
        return {
            "title": f"{names[label]}, predicted: {names[predicted]} ({verdict})",
            "name": name,
            "views": views,
            # L from E: the y of the label may round to 0
            "numbers": f"y = {y:.2f}; L = {math.exp(-E):.4g}; E = -ln L = {E:.4f} nats",
        }

    def suspect(self, row: int, mean_loss: float) -> dict[str, Any]:
        """Return a training picture with its label, the prediction of the model and its mean E."""
        names, size = self.classifier.class_names, self.classifier.preprocessing.image_size
        # training pictures are stored larger than the model's input
        stored = Image.fromarray(np.asarray(self.image_set.images[row]))
        pixels = np.array(stored.resize((size, size), Image.Resampling.BILINEAR))
        predicted = names[int(self.classifier.logits(torch.from_numpy(pixels)[None]).argmax())]
        label = f"labelled {names[self.image_set.labels[row]]}"
        text, name = f"{label}, predicted {predicted}; E {mean_loss:.2f}", self.image_set.names[row]
        return thumbnail(self.original(row), text, f"{label}: {printable(name)}")


def first_batch(settings: Settings, data: Data, limit: int) -> list[tuple[Image.Image, str]]:
    """Return up to `limit` pictures of the first training batch, with their labels in words.

    Before hours of training, they reveal wrong labels, crops without the object and too strong a
    mixup.
    """
    batches = make_batches(settings, data, torch.device("cpu"), ALONE)
    batch = next(batches.epoch(0))
    scale, shift = batches.preprocessing.scale_and_shift(batches.device)
    pixels = (batch.images[:limit].permute(0, 2, 3, 1) - shift) / scale  # (B, S, S, 3)
    images = pixels.round().clamp(0, 255).byte().numpy()
    captions = [in_words(target, data.class_names) for target in batch.target[:limit]]
    return list(zip(map(Image.fromarray, images), captions, strict=True))


def in_words(target: Tensor, class_names: list[str]) -> str:
    """Return "fox" for a class index or an unmixed label, else "fox 70%, dog 30%"."""
    if target.ndim == 0:
        return class_names[int(target)]
    shares = sorted(zip(target.tolist(), class_names, strict=True), reverse=True)
    if shares[0][0] >= 0.995:
        return shares[0][1]
    return ", ".join(f"{name} {share:.0%}" for share, name in shares if share >= 0.005)


def write_preview(settings: Settings, path: Path) -> int:
    """Write the first batch as a PNG and return the number of its pictures."""
    shown = first_batch(settings, make_data(settings), COLUMNS * ROWS)
    figure = Figure(figsize=(2 * COLUMNS, 2.2 * ROWS), dpi=80, layout="constrained")
    for axes in figure.subplots(ROWS, COLUMNS).flat:
        axes.set_axis_off()
    for axes, (image, caption) in zip(figure.axes, shown, strict=False):
        axes.imshow(np.asarray(image))
        axes.set_title(caption.replace("$", r"\$"), fontsize=9, wrap=True)
    write_atomic(path, lambda temporary: figure.savefig(temporary, format="png"))
    return len(shown)
