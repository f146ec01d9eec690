"""One drawing: an animal in a place, in some light, perhaps partly hidden."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from data.drawings.body import POSES, portrait
from data.drawings.light import grain, shine
from data.drawings.pen import Pen
from data.drawings.scenery import BACKGROUNDS, COVERS, shadow
from data.drawings.species import CLASS_NAMES, SPECIES, Look

CANVAS = 256  # pixels of the side: large enough that scaling down smooths the edges


def label(index: int) -> int:
    """The class of a drawing: they take turns, so that any stretch of indices is balanced.

    Example:
        >>> [CLASS_NAMES[label(index)] for index in range(4)]
        ['dog', 'fox', 'wolf', 'dog']
    """
    return index % len(CLASS_NAMES)


def draw(seed: int, index: int, size: int) -> npt.NDArray[np.uint8]:
    """Draw one picture, a pure function of its arguments.

    Args:
        seed: of the whole collection; 0 or more.
        index: of the drawing in it; 0 or more. `label(index)` is its class.
        size: of the side in pixels. The same drawing exists in every size: it is made on a
            canvas of a fixed size and then scaled as photographs are.

    Shape:
        (size, size, 3), RGB.

    Example:
        >>> draw(seed=0, index=1, size=64).shape
        (64, 64, 3)
    """
    rng = np.random.default_rng([seed, index])
    look = SPECIES[label(index)](rng)
    image = BACKGROUNDS[rng.integers(len(BACKGROUNDS))](CANVAS, rng)
    _place(image, look, rng)
    if rng.random() < 0.45:
        COVERS[rng.integers(len(COVERS))](Pen.on(image), rng)
    image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(grain(shine(image, rng), rng))


def _place(image: Image.Image, look: Look, rng: np.random.Generator) -> None:
    """Draw the animal so large that it about fills the picture, and not quite in its middle."""
    pose = POSES[rng.integers(len(POSES))]
    left = pose.left - 0.45 * (look.tail == "bushy" and pose.draw is not portrait)
    room = max(pose.right - left, pose.height)
    scale = rng.uniform(0.75, 1.08) / room
    mirror = rng.random() < 0.5
    off_centre = (left + pose.right) / 2 * scale * (-1 if mirror else 1)
    x, y = 0.5 - off_centre + rng.normal(0, 0.06), rng.uniform(*pose.ground)
    if pose.draw is not portrait:
        shadow(image, x, y, scale * 0.6)
    pen = Pen.on(image).at(x, y, scale, angle=rng.normal(0, 4), mirror=mirror)
    pose.draw(pen, look, rng)
