"""Pictures inside the page: small JPEGs as data URIs."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from crossent.inference.heatmap import spotlit
from crossent.report.markup import Markup, element, shorten
from data.decode import UnusableImage, inspect
from data.images import ImageSet

SIDE = 144  # pixels, the longer side
QUALITY = 75

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Picture:
    """A picture to look at, of the original's shape where the original is at hand."""

    pixels: Pixels  # (S, S, 3), stretched to a square
    size: tuple[int, int]  # to show it in: width, height
    name: str

    def thumbnail(self, alt: str) -> Markup:
        return as_image(self.fitted(Image.fromarray(self.pixels)), alt)

    def spotlight(self, heat: Floats, alt: str) -> Markup:
        """As `spotlit`."""
        return as_image(spotlit(self.fitted(Image.fromarray(self.pixels)), heat), alt)

    def fitted(self, picture: Image.Image) -> Image.Image:
        return picture.resize(self.size, Image.Resampling.BICUBIC)


def picture_of(image_set: ImageSet, row: int, root: str | None) -> Picture:
    """The original if it can be read, else the pixels that the model sees.

    Args:
        root: the folder that the names are relative to; None where there are no files.
    """
    name = image_set.names[row]
    if root is not None:
        try:
            found = inspect(Path(root) / name, [SIDE])
            size = fit(found.facts.width, found.facts.height)
            return Picture(found.pixels[0], size, name)
        except (UnusableImage, ValueError):
            pass  # it has gone since, or its name cannot be spelt: the pixels are still there
    return Picture(np.asarray(image_set.images[row]), (SIDE, SIDE), name)


def fit(width: int, height: int) -> tuple[int, int]:
    """The size in which the longer side is `SIDE`; a sliver keeps a quarter of it."""
    scale = SIDE / max(width, height)
    return max(SIDE // 4, round(width * scale)), max(SIDE // 4, round(height * scale))


def as_image(picture: Image.Image, alt: str) -> Markup:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    source = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
    width, height = picture.size
    return element("img", src=source, alt=shorten(alt, 120), width=width, height=height)
