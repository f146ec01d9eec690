"""Decode a file to pixels, in the same way for training, evaluation, prediction and the demo.

A file may be hostile. Its header is checked against the limits below before any pixel is decoded,
and every exception of a decoder becomes an `UnusableImage`.
"""

import hashlib
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from data.colour import to_rgb
from data.duplicates import difference_hash
from data.images import Pixels, UnusableImage

__all__ = ["DECODER", "Facts", "Inspection", "UnusableImage", "decode", "inspect"]

# Part of the cache key. Increase the number when a change here, in colour.py or in
# `difference_hash` changes pixels or facts. The version of Pillow also determines those of
# libjpeg, libwebp and so on.
DECODER = f"crossent-4 pillow-{PIL.__version__}"

# Many phones save HEIC, which needs the package pillow-heif.
with suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()
    DECODER += f" heif-{pillow_heif.__version__}"

# No other format is tried, because a decoder may start other programs: EPS starts Ghostscript. AVIF
# needs Pillow 11.3. MPO (two JPEGs in one file, from phones) opens as JPEG.
Image.init()
_KNOWN = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF")
FORMATS = tuple(name for name in _KNOWN if name in Image.OPEN)
HASH_SIDE = 256  # pixels; the picture is decoded for this size to compute its difference hash

MAX_FILE_BYTES = 256 * 2**20  # the largest photographs take about 100 MB
MAX_SIDES_RATIO = 50  # panoramas reach 20
MAX_MEMORY_BYTES = 640 * 2**20  # for decoding one picture, as estimated from its header

Source = str | Path | bytes
TRUNCATED = "truncated: the end of the file is missing"

# Patterns of the first bytes of files that cannot be opened, each with the reason.
_CANNOT_BE_OPENED = {
    rb"version https://git-lfs": "a git-lfs pointer, not the picture: run `git lfs pull`",
    rb"\s*<(!doctype )?html": "not a picture but HTML: the download got a web page",
    rb"....ftyp(hei|hev|mif1|msf1)": "HEIC: `pip install pillow-heif`, or convert it to JPEG",
    rb"\0*\Z": "empty or only zero bytes: an interrupted download or a failing disk",
    rb"\xff\xd8|\x89png|gif8|ii\*\0|mm\0\*|riff....webp|....ftypavi[fs]": (
        "damaged: it starts as a picture, but its header is invalid"
    ),
    rb"": "unknown format: none of JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, PPM",
}

_ORIENTATION = 0x0112  # tag of EXIF
_TURN = Image.Transpose
_TURNS = {  # by orientation
    2: _TURN.FLIP_LEFT_RIGHT, 3: _TURN.ROTATE_180, 4: _TURN.FLIP_TOP_BOTTOM,
    5: _TURN.TRANSPOSE, 6: _TURN.ROTATE_270, 7: _TURN.TRANSVERSE, 8: _TURN.ROTATE_90,
}  # fmt: skip
_RAW_16_BIT = re.compile(";16[BLN]")  # as in Pillow's "RGB;16B"; BMP's "BGR;16" is 5 + 6 + 5 bits
# The filters of `warnings` and Pillow's limit are global, so one thread at a time changes them.
_process_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Facts:
    """The properties of a usable file, without its pixels."""

    sha256: str  # of the content, hex
    difference_hash: int  # 128 bits
    width: int  # upright, before any resize
    height: int
    odd: Sequence[str] = ()  # keys of `ODDITIES`


ODDITIES = {
    "turned": "turned upright, as its EXIF tag says",
    "CMYK": "printing colours: converted to RGB",
    "colour profile": "a colour space other than sRGB: converted",
    "palette": "a palette of colours: converted to RGB",
    "transparency": "transparent parts: shown on white",
    "16-bit": "16 bits per sample: scaled to 8, not clipped",
    "animated": "several frames or pages: the first one is used",
    "wrong extension": "the extension is that of another format: decoded by content",
}


@dataclass(frozen=True, slots=True)
class Inspection:
    """The facts about a file and its pixels."""

    facts: Facts
    pixels: list[Pixels]  # (size, size, 3) for each requested size


def size_to_train(image_size: int) -> int:
    """Return the side of the training pictures: a quarter larger, so that crops keep details."""
    return image_size * 5 // 4


def decode(source: Source, size: int) -> Pixels:
    """Decode the whole picture: upright, in sRGB, stretched to a square.

    Args:
        source: a path, or the bytes of a file.

    Shape:
        returns (size, size, 3) uint8, RGB.

    Raises:
        UnusableImage: the file cannot be decoded; the message is the reason.

    Example:
        >>> decode(b"P6 2 1 255 " + bytes([255, 0, 0, 255, 0, 0]), size=1)
        array([[[255,   0,   0]]], dtype=uint8)
    """
    return inspect(source, [size]).pixels[0]


def inspect(source: Source, sizes: Sequence[int] = (), whole: bool = False) -> Inspection:
    """Decode a picture to any number of sizes, and return the facts about its file.

    Args:
        sizes: sides in pixels; none for the facts alone.
        whole: do not stretch the pictures to squares. The sides of a large JPEG may be halved, but
            stay at least twice the size.

    Raises:
        UnusableImage: as in `decode`.
    """
    content = _read(source)
    name = str(source) if isinstance(source, str | Path) else ""
    try:
        with _process_lock, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")  # invalid EXIF and the like
            # Pillow's limit counts pixels before `draft`; `_check_size` replaces it.
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                return _inspect(content, name, sizes, whole)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except UnusableImage:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, ...
        if isinstance(error, PIL.UnidentifiedImageError):
            flags = re.IGNORECASE | re.DOTALL
            known = _CANNOT_BE_OPENED.items()
            reason = next(reason for start, reason in known if re.match(start, content, flags))
        elif isinstance(error, MemoryError):
            reason = "too large: decoding takes too much memory"
        elif "truncated" in str(error).lower():
            reason = TRUNCATED
        else:
            reason = f"damaged: {error or type(error).__name__}"
        raise UnusableImage(reason) from error


def _read(source: Source) -> bytes:
    """Return the content of a file, read once, so that hash and pixels belong together."""
    if isinstance(source, bytes):
        return source
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to would block for ever
        with open(source, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnusableImage("unreadable: a pipe, socket or device, not a file")
            if status.st_size > MAX_FILE_BYTES:
                raise UnusableImage(f"too large: over {MAX_FILE_BYTES // 2**20} MB")
            return file.read(status.st_size)
    except UnusableImage:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise UnusableImage(f"unreadable: {reason}") from None


def _check_size(image: Image.Image, full_size: tuple[int, int]) -> None:
    """Refuse a thin strip, and a picture that would take too much memory.

    The memory is estimated in bytes per pixel. Pillow needs 1 for a palette or grey, otherwise 4.
    `to_rgb` adds 4, or 13 for transparency or 16 bits. WebP, AVIF and TIFF need extra buffers. A
    progressive JPEG needs two bytes per coefficient of the `full_size`, even after `draft`.
    """
    width, height = full_size
    if max(full_size) > MAX_SIDES_RATIO * min(full_size):
        raise UnusableImage(f"too thin a strip: {width} x {height}, over {MAX_SIDES_RATIO} to 1")
    pixel_bytes = 4 if image.mode == "RGB" else 8
    if image.has_transparency_data or image.mode.startswith("I"):
        pixel_bytes = 17
    if image.format in ("WEBP", "AVIF", "TIFF"):
        pixel_bytes += 8
    memory_bytes = pixel_bytes * image.width * image.height
    if "progressive" in image.info:
        memory_bytes += 2 * len(image.getbands()) * width * height
    if memory_bytes > MAX_MEMORY_BYTES:
        used_mb, limit_mb = memory_bytes // 2**20, MAX_MEMORY_BYTES // 2**20
        raise UnusableImage(f"too large: decoding would take {used_mb:,} MB, over {limit_mb} MB")


def _inspect(content: bytes, name: str, sizes: Sequence[int], whole: bool) -> Inspection:
    if content.startswith(b"\x89PNG"):  # load() does not check the checksums of pixels
        with Image.open(io.BytesIO(content), formats=["PNG"]) as png:
            png.verify()
    # libjpeg can halve the sides of a JPEG while decoding; they stay at least twice the size. Sizes
    # up to HASH_SIDE share one decoding with the hash. Other formats are decoded once, unreduced.
    has_scales = content.startswith(b"\xff\xd8")
    side_of = {size: 2 * max(size, HASH_SIDE) if has_scales else 0 for size in (HASH_SIDE, *sizes)}
    decoded = {side: _decode(content, name, side) for side in dict.fromkeys(side_of.values())}
    if has_scales and not _has_end(content):  # libjpeg has filled the rest with grey
        raise UnusableImage(TRUNCATED)
    pixels = []
    for size in sizes:
        picture, _, _ = decoded[side_of[size]]
        square = picture if whole else picture.resize((size, size), Image.Resampling.BILINEAR)
        pixels.append(np.array(square))  # a writable copy
    rgb, odd, sides = decoded[side_of[HASH_SIDE]]
    facts = Facts(hashlib.sha256(content).hexdigest(), difference_hash(rgb), *sides, odd)
    return Inspection(facts, pixels)


def _has_end(jpeg: bytes) -> bool:
    """Return whether an end marker follows the segments; a thumbnail in one has its own marker."""
    offset = 2
    while jpeg[offset : offset + 1] == b"\xff" and jpeg[offset + 1 : offset + 2] != b"\xda":
        is_filled = jpeg[offset + 1 : offset + 2] == b"\xff"
        offset += 1 if is_filled else 2 + int.from_bytes(jpeg[offset + 2 : offset + 4], "big")
    return jpeg.find(b"\xff\xd9", offset) >= 0


def _decode(
    content: bytes, name: str, side: int
) -> tuple[Image.Image, tuple[str, ...], tuple[int, int]]:
    """Return the upright RGB picture, its oddities, and its width and height before `draft`.

    The sides of a JPEG may be halved, but not below `side`.
    """
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        image.draft("RGB", (side, side))  # lets libjpeg halve up to three times
        _check_size(image, (width, height))
        suffix = Path(name).suffix.lower()
        formats = (Image.registered_extensions().get(suffix), image.format)
        named = {"JPEG" if form == "MPO" else form for form in formats}
        raw_modes = [str(tile.args) for tile in image.tile]  # load() clears them
        odd = {
            # load() turns a TIFF and drops the tag; the tag of a PNG may stand after the pixels
            "turned": image.format == "TIFF" and _orientation(image) in _TURNS,
            "CMYK": image.mode == "CMYK",
            "palette": image.mode in ("P", "PA"),
            "transparency": image.has_transparency_data,
            "16-bit": image.mode.startswith("I") or any(map(_RAW_16_BIT.search, raw_modes)),
            "wrong extension": suffix != "" and len(named) > 1,
        }
        image.load()
        if image.format == "TIFF":
            width, height = image.size
        orientation = _orientation(image)
        rgb, odd["colour profile"] = to_rgb(image)
        if orientation in _TURNS:
            odd["turned"] = True
            rgb = rgb.transpose(_TURNS[orientation])
        try:  # last, because it seeks; the second picture of an MPO is often a depth map
            odd["animated"] = image.format != "MPO" and bool(getattr(image, "is_animated", False))
        except Exception:  # a damaged second frame does not affect the first
            odd["animated"] = True
    size = (height, width) if orientation >= 5 else (width, height)
    return rgb, tuple(kind for kind in ODDITIES if odd[kind]), size


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) to 8; 1 if it is missing or invalid."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # the parser raises many types; the pixels may be fine
        return 1
    return value if value in range(1, 9) else 1
