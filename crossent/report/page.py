"""Parts of a self-contained page: the jinja2 templates, and thumbnails inside the page."""

import base64
import io
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from crossent.inference.heatmap import to_shape
from data.decode import UnusableImage, inspect

SIDE = 144  # pixels, the longer side of a thumbnail


def readable(value: object) -> object:
    """Replace characters that HTML does not allow: control characters and lone surrogates."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]", "\ufffd", value)


ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,  # all inserted text
    finalize=readable,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def load_small(path: Path) -> Image.Image | None:
    """Return a small version of a picture file, with its proportions; None if it is unusable."""
    try:
        found = inspect(path, [SIDE])
    except (UnusableImage, ValueError):  # ValueError: the name cannot be encoded
        return None
    return to_shape(found.pixels[0], found.facts.width, found.facts.height, SIDE)


def thumbnail(picture: Image.Image, caption: str, alt: str = "") -> dict[str, Any]:
    """Return a picture as a data URI, with its size, its caption and an alternative text."""
    file = io.BytesIO()
    picture.save(file, "jpeg", optimize=True, quality=75)
    uri = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return {"uri": uri, "size": picture.size, "caption": caption, "alt": alt or caption}
