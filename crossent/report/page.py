"""Parts of a self-contained page: the jinja2 templates, and thumbnails inside the page."""

import base64
import io
import re
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from crossent.inference.heatmap import to_shape
from data.decode import inspect

SIDE = 144  # pixels, the longer side of a thumbnail


class Thumbnail(NamedTuple):
    """A picture as a data URI, with its caption and an alternative text."""

    uri: str
    size: tuple[int, int]
    caption: str
    alt: str


def make_environment() -> Environment:
    """Return the jinja2 environment of all templates; it escapes all inserted text."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        finalize=readable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def readable(value: object) -> object:
    """Replace characters that HTML does not allow: control characters and lone surrogates."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]", "\ufffd", value)


def load_small(path: Path) -> Image.Image:
    """Return a small version of a picture file, with its proportions.

    Raises:
        UnusableImage: the file is not a picture, or there is none.
    """
    found = inspect(path, [SIDE])
    return to_shape(found.pixels[0], found.facts.width, found.facts.height, SIDE)


def make_thumbnail(picture: Image.Image, caption: str, alt: str = "") -> Thumbnail:
    file = io.BytesIO()
    picture.save(file, "jpeg", optimize=True, quality=75)
    uri = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Thumbnail(uri, picture.size, caption, alt or caption)
