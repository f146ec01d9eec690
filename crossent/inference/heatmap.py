"""A heat map laid over its picture."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

DIM = 0.3  # what is left of the light where a heat map is cold
OUTLINE = (255, 214, 10)

Floats = npt.NDArray[np.float32]


def spotlit(picture: Image.Image, heat: Floats) -> Image.Image:
    """Bright and in colour where the heat is, dark and grey elsewhere: without colour, too.

    Shape:
        heat (h, w) from 0 to 1.
    """
    mask = Image.fromarray(np.asarray(255 * heat, np.uint8)).resize(
        picture.size, Image.Resampling.BILINEAR
    )
    dark = picture.convert("L").point(lambda value: value * DIM).convert("RGB")
    lit = Image.composite(picture, dark, mask)
    lit.paste(OUTLINE, mask=outline(mask))
    return lit


def outline(mask: Image.Image) -> Image.Image:
    """A line around where the heat is more than half: seen also where the picture is dark."""
    hot = mask.point(lambda value: 255 if value > 127 else 0)
    return ImageChops.subtract(hot, hot.filter(ImageFilter.MinFilter(3)))
