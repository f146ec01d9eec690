"""The shortcut test: the accuracy that remains when the middle of the pictures is covered.

A model may have learned the backgrounds of its pictures, which differ in other pictures.
Source: Ribeiro et al. 2016, "Why should I trust you?", section 6.4.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.evaluation.evaluate import outputs_of
from crossent.evaluation.intervals import Interval, wilson
from crossent.model_file import Classifier
from data.images import ImageSet

Pixels = npt.NDArray[np.uint8]
AT_ONCE = 256  # pictures, because all of them may not fit into memory


@dataclass(frozen=True)
class Shortcuts:
    """The accuracy on the border of the pictures alone."""

    guess: float  # accuracy of always predicting the most frequent class
    border: Interval

    @property
    def warning(self) -> str | None:
        """A sentence if the border alone gives a higher accuracy than guessing does."""
        border = self.border
        if border.low <= self.guess:
            return None
        return (
            f"with the middle covered, {border.value:.0%} of predictions are still correct "
            f"({border.low:.0%} to {border.high:.0%}; always predicting the most frequent class: "
            f"{self.guess:.0%}): either the objects reach into the border, or the model uses the "
            "background and will fail where that differs; look at the pictures"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        return {"guess": self.guess, "border": self.border.to_dict(), "warning": self.warning}


def cover_middle(images: Pixels, colour: Pixels) -> Pixels:
    """Return the pictures with their middle, half of the area, in one colour.

    Shape:
        images: (N, S, S, 3); colour: (3,); returns (N, S, S, 3).
    """
    return np.where(middle_mask(images.shape[1])[:, :, None], colour, images)


def look_for_shortcuts(classifier: Classifier, image_set: ImageSet) -> Shortcuts:
    """Measure the accuracy on the border of the pictures."""
    colour, num_right = mean_colour(image_set), 0
    for first in range(0, len(image_set), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        images = cover_middle(image_set.images[rows], colour)
        part = ImageSet(images, image_set.labels[rows], image_set.names[rows])
        num_right += int(outputs_of(classifier, part).right.sum())
    guess = np.bincount(image_set.labels).max() / len(image_set)
    return Shortcuts(guess, wilson(num_right, len(image_set)))


def mean_colour(image_set: ImageSet) -> Pixels:
    """Return (3,), the mean over all pixels of all pictures."""
    means = [image.mean(axis=(0, 1)) for image in image_set.images]
    return np.asarray(np.mean(means, axis=0).round(), np.uint8)


def middle_mask(size: int) -> npt.NDArray[np.bool_]:
    """Return a mask (S, S), True in the middle square, which has half of the area."""
    margin = round(size * (1 - math.sqrt(0.5)) / 2)
    middle = np.zeros((size, size), bool)
    middle[margin : size - margin, margin : size - margin] = True
    return middle
