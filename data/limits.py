"""What is refused before anything is decoded, and in which words."""

import os
import re
import stat
from pathlib import Path

from PIL import Image

from data.images import UnreadableFile, UnusableImage

MAX_FILE_BYTES = 256 * 2**20  # the largest photographs have some 100 MB
MAX_SIDES_RATIO = 50  # panoramas end at 20
MAX_MEMORY_BYTES = 640 * 2**20  # our estimate of what decoding one picture takes at its worst

Source = str | Path | bytes

# What people find in their folders in the place of a picture: how it starts, and what it is.
_IMPOSTORS = (
    (rb"version https://git-lfs", "a git-lfs pointer, not the picture: run `git lfs pull`"),
    (rb"\s*<(!doctype )?html", "not a picture but HTML: the download got a web page"),
    (rb"\s*(<\?xml|<svg)", "an SVG drawing or other XML, which has no pixels: export PNG"),
    (rb"%(!ps|pdf)", "PostScript or PDF: export the page as PNG"),
    (
        rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)",
        "HEIC, which Pillow cannot read: `pip install pillow-heif`, or convert it to JPEG",
    ),
    (rb"\0+\Z", "nothing but zero bytes: an interrupted download or a failing disk"),
    (rb"\xff\xd8|\x89png|gif8", "damaged: it starts as a picture, but its header makes no sense"),
    (rb"", "unknown format: none of JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, PPM"),
)


def read_source(source: Source) -> bytes:
    """Return the content of a path or of bytes: read once, so that hash and pixels belong together.

    Raises:
        UnusableImage: unreadable, not a file, empty or too large.
    """
    content = source if isinstance(source, bytes) else _read_path(source)
    if not content:
        raise UnusableImage("empty: the file has no bytes")
    return content


def _read_path(path: str | Path) -> bytes:
    try:
        # A pipe without a writer would make a blocking open wait for ever.
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnusableImage("unreadable: a pipe, socket or device, not a file")
            if status.st_size > MAX_FILE_BYTES:
                size, limit = status.st_size / 2**20, MAX_FILE_BYTES / 2**20
                raise UnusableImage(f"too large: {size:,.0f} MB, the limit is {limit:,.0f} MB")
            return file.read(status.st_size)
    except OSError as error:
        raise UnreadableFile(f"unreadable: {error.strerror or error}") from None
    except ValueError as error:
        if isinstance(error, UnusableImage):
            raise
        raise UnreadableFile(f"unreadable: {error}") from None  # a zero byte in the name


def describe_unknown(content: bytes) -> str:
    """Return words for content that no decoder of ours recognises.

    Example:
        >>> describe_unknown(b"<html><body>404")
        'not a picture but HTML: the download got a web page'
    """
    flags = re.IGNORECASE | re.DOTALL
    return next(what for start, what in _IMPOSTORS if re.match(start, content, flags))


def check_size(image: Image.Image, full_size: tuple[int, int]) -> None:
    """Refuse a thin strip, and what takes too much memory by an estimate from the header alone.

    Bytes per pixel: Pillow keeps 1 for a palette or grey, 4 for the rest; `to_rgb` adds 4, and 13
    for transparency or 16 bits; WebP, AVIF and TIFF decode through buffers of their own. A
    progressive JPEG keeps two bytes per coefficient of the `full_size`, whatever the draft.
    """
    width, height = full_size
    if max(full_size) > MAX_SIDES_RATIO * min(full_size):
        raise UnusableImage(
            f"too thin a strip: {width} x {height} pixels, the limit is {MAX_SIDES_RATIO} to 1"
        )
    pixel_bytes = 4 if image.mode == "RGB" else 8
    if image.has_transparency_data or image.mode.startswith("I"):
        pixel_bytes = 17
    if image.format in ("WEBP", "AVIF", "TIFF"):
        pixel_bytes += 8
    memory_bytes = pixel_bytes * image.width * image.height
    if "progressive" in image.info:
        memory_bytes += 2 * len(image.getbands()) * width * height
    if memory_bytes > MAX_MEMORY_BYTES:
        raise UnusableImage(
            f"too large: decoding {width} x {height} pixels would take"
            f" {memory_bytes / 2**20:,.0f} MB, the limit is {MAX_MEMORY_BYTES / 2**20:.0f} MB"
        )
