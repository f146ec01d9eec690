"""Likely wrong labels: training pictures whose own label stayed improbable over the epochs."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image

from crossent.model_file import Classifier
from crossent.report.markup import Markup, element, note, shorten
from crossent.report.thumbnail import Floats, picture_of
from crossent.training.samples import SampleLosses
from data.images import ImageSet

MAX_SHOWN = 18


def suspects(
    image_set: ImageSet, samples: SampleLosses, classifier: Classifier, root: str | None
) -> Iterator[Markup]:
    """The pictures with the largest mean E over all steps they were in, worse than knowing nothing.

    Source: the idea of Huang et al. 2019, "O2U-Net: a simple noisy label detection approach".
    """
    num_classes = len(classifier.class_names)
    baseline = math.log(num_classes)
    means = (samples.total / samples.count).numpy()  # nan: never drawn so far
    order = [int(row) for row in np.argsort(-np.nan_to_num(means)) if means[row] > baseline]
    yield note(
        f"{len(order):,} of {len(image_set):,} training pictures had, in the mean over all epochs, "
        f"E above ln {num_classes} = {baseline:.4f}: their label was held less likely than "
        "a guess. "
        "Such pictures are hard, odd, or labelled wrong; look at the first ones and decide."
    )
    shown = order[:MAX_SHOWN]
    if not shown:
        return
    probs = probs_of(classifier, image_set, shown)
    cards = [
        suspect(image_set, row, means[row], y, classifier.class_names, root)
        for row, y in zip(shown, probs, strict=True)
    ]
    yield element("div", *cards, class_="strip suspects")


def suspect(
    image_set: ImageSet,
    row: int,
    mean: float,
    probs: Floats,
    class_names: Sequence[str],
    root: str | None,
) -> Markup:
    label, said = (
        shorten(class_names[int(k)], 20) for k in (image_set.labels[row], probs.argmax())
    )
    picture = picture_of(image_set, row, root)
    image = picture.thumbnail(f"labelled {label}: {picture.name}")
    text = f"labelled {label}; now said: {said}, y = {probs.max():.2f}; mean E {mean:.2f}"
    name = element("small", shorten(picture.name, 40), title=shorten(picture.name, 300))
    return element("figure", image, element("figcaption", text, element("br"), name))


def probs_of(classifier: Classifier, image_set: ImageSet, rows: Sequence[int]) -> Floats:
    """y for training pictures, which are stored larger than the model takes them."""
    size = classifier.preprocessing.image_size
    pictures = [
        np.asarray(
            Image.fromarray(image_set.images[row]).resize((size, size), Image.Resampling.BILINEAR)
        )
        for row in rows
    ]
    probs: Floats = classifier.probs(torch.from_numpy(np.stack(pictures))).numpy()
    return probs
