"""The shortcut test: what is left of the accuracy when the middle of the pictures is covered?

A model may have learned the background of its pictures, which is another one elsewhere.
Source: Ribeiro et al. 2016, "Why should I trust you?", section 6.4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.evaluation.evaluate import outputs_of
from crossent.evaluation.intervals import Interval, wilson
from crossent.model_file import Classifier
from data.images import ImageSet

Pixels = npt.NDArray[np.uint8]
AT_ONCE = 256  # pictures: all of them may not fit into memory
GREY = np.array([0.299, 0.587, 0.114])  # luma of RGB, ITU-R BT.601


@dataclass(frozen=True)
class Shortcuts:
    """Accuracy by view, against the share of the most frequent class, which a guess would get."""

    guess: float
    views: dict[str, Interval]  # by the names of `VIEWS`

    @property
    def warning(self) -> str | None:
        """A sentence if the border alone does clearly better than guessing."""
        border = self.views["border"]
        if border.low <= self.guess:
            return None
        return (
            f"the border alone, with the middle covered, is right {border.value:.0%} of the time "
            f"({border.low:.0%} to {border.high:.0%}; guessing: {self.guess:.0%}): either what the "
            "pictures show reaches into it, or the model reads the background and will fail where "
            "that is another one; look at the pictures"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        views = {name: interval.to_dict() for name, interval in self.views.items()}
        return {"guess": self.guess, **views, "warning": self.warning}


def only_border(images: Pixels, colour: Pixels) -> Pixels:
    """Cover the square in the middle, half of the area, with one colour."""
    return np.where(is_middle(images.shape[1])[:, :, None], colour, images)


def only_centre(images: Pixels, colour: Pixels) -> Pixels:
    """Cover all but the square in the middle with one colour: the other half of the area."""
    return np.where(is_middle(images.shape[1])[:, :, None], images, colour)


def in_grey(images: Pixels, colour: Pixels) -> Pixels:
    """Remove the colour. Shape: (N, S, S, 3) to the same."""
    grey = (images @ GREY).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


VIEWS: dict[str, Callable[[Pixels, Pixels], Pixels]] = {
    "whole": lambda images, colour: images,
    "border": only_border,
    "centre": only_centre,
    "grey": in_grey,
}


def look_for_shortcuts(classifier: Classifier, image_set: ImageSet) -> Shortcuts:
    """Measure the accuracy on each view of the pictures."""
    colour = mean_colour(image_set)
    num_right = dict.fromkeys(VIEWS, 0)
    for first in range(0, len(image_set), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        for name, view in VIEWS.items():
            images = view(image_set.images[rows], colour)
            part = ImageSet(images, image_set.labels[rows], image_set.names[rows])
            num_right[name] += int(outputs_of(classifier, part).right.sum())
    views = {name: wilson(count, len(image_set)) for name, count in num_right.items()}
    return Shortcuts(np.bincount(image_set.labels).max() / len(image_set), views)


def mean_colour(image_set: ImageSet) -> Pixels:
    """Return (3,), the mean over all pixels of all pictures."""
    means = [image.mean(axis=(0, 1)) for image in image_set.images]
    colour: Pixels = np.mean(means, axis=0).round().astype(np.uint8)
    return colour


def is_middle(size: int) -> npt.NDArray[np.bool_]:
    """Return (S, S), True in the square of half the area in the middle."""
    margin = round(size * (1 - math.sqrt(0.5)) / 2)
    middle = np.zeros((size, size), bool)
    middle[margin : size - margin, margin : size - margin] = True
    return middle
