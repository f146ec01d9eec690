"""One function turns a file into pixels: training, evaluation, prediction and the demo all call it.

Nothing in a picture file can be trusted. The header is read first and held against limits; only
then are pixels decoded, and whatever the decoder raises is that file's problem: `UnusableImage`.
"""

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageFile

from data.difference_hash import difference_hash
from data.limits import (
    MAX_MEMORY_BYTES,
    MAX_PIXELS,
    check_jpeg_scans,
    check_memory,
    check_png_checksums,
    check_shape,
)
from data.quiet import quiet_pillow
from data.reading import UnusableImage, describe_unknown, read_source
from data.upright import orientation, to_rgb, turn

__all__ = ["DECODER", "Facts", "Inspection", "UnusableImage", "decode", "decode_whole", "inspect"]

# Cached pixels and verdicts are valid for this decoder only: count up when the code below changes
# what comes out. Pillow's version stands for those of libjpeg, libwebp and so on that it brings.
DECODER = f"crossent-1 pillow-{PIL.__version__}"

Source = str | Path | bytes | bytearray | memoryview | BinaryIO
Pixels = npt.NDArray[np.uint8]

# A closed list: a format not named here is never tried. (EPS would start Ghostscript.) AVIF came
# with Pillow 11.3; MPO, of two JPEGs, is what many phones write and opens as JPEG.
Image.init()
FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
    if name in Image.OPEN
)
HASH_SIDE = 256  # the picture is hashed as it is decoded for this size, whatever size is wanted

_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif", ".avifs"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
}
_RAW_16_BIT = re.compile(";16[BLN]")  # as in Pillow's "RGB;16B"; BMP's "BGR;16" is 5 + 6 + 5 bits
_ANIMATED_FORMATS = ("GIF", "PNG", "WEBP", "AVIF", "TIFF")  # an MPO's second picture is a depth map


@dataclass(frozen=True, slots=True)
class Facts:
    """What one pass over a usable file found, besides its pixels."""

    sha256: str  # of the content, hex
    difference_hash: int  # 128 bits
    width: int  # upright, before any resize
    height: int
    odd: tuple[str, ...] = ()  # what was unusual and is taken care of: keys of `ODDITIES`


ODDITIES = {
    "turned": "lies on its side by its EXIF tag: turned upright",
    "CMYK": "printer's colours: converted to RGB",
    "palette": "a palette of colours: converted to RGB",
    "transparency": "see-through parts: laid on white",
    "16-bit": "16 bits a sample: scaled to 8, not clipped",
    "animated": "several frames or pages: the first one is used",
    "wrong extension": "the name says another format: decoded by content",
}


@dataclass(frozen=True, slots=True)
class Inspection:
    """Facts about a file and its pixels at every size asked for, from one reading of it."""

    facts: Facts
    pixels: list[Pixels]  # (size, size, 3) for each size, in the order asked for


def decode(source: Source, size: int) -> Pixels:
    """Turns a file into pixels: the whole picture, upright, stretched to a square.

    The one resize at the end is Pillow's BILINEAR on uint8, a triangle filter as wide as the
    shrinking asks for: a horizontal pass rounded to uint8, then a vertical one.

    Args:
        source: a path, the bytes of a file, or a file open for binary reading.
        size: side of the result in pixels.

    Shape:
        returns (size, size, 3) uint8, RGB.

    Raises:
        UnusableImage: with the reason in plain words, for every file that cannot be decoded.

    Example:
        >>> decode(b"P6 2 1 255 " + bytes([255, 0, 0, 255, 0, 0]), size=1)
        array([[[255,   0,   0]]], dtype=uint8)
    """
    return _Picture(source).pixels(size)


def decode_whole(source: Source, size: int) -> Pixels:
    """The picture that `decode` would stretch to a square: upright RGB, its sides as they are.

    Of a large JPEG this is one whose sides were halved up to three times while decoding, still at
    least twice `size`.

    Shape:
        returns (H, W, 3) uint8, RGB.

    Raises:
        UnusableImage: as `decode`.
    """
    return _Picture(source).whole(size)


def inspect(source: Source, sizes: Sequence[int] = ()) -> Inspection:
    """`decode` for any number of sizes, with what else one pass over the file tells.

    Args:
        source: as for `decode`.
        sizes: sides in pixels, one result each; none for the facts alone.

    Raises:
        UnusableImage: with the reason, and the hash of the content where it could be read.
    """
    picture = _Picture(source)
    pixels = [picture.pixels(size) for size in sizes]
    return Inspection(picture.facts(), pixels)


class _Picture:
    """One file in memory, decoded at most once for each scale that its sizes need."""

    def __init__(self, source: Source) -> None:
        self.content = read_source(source)
        self.name = str(source) if isinstance(source, str | Path) else ""
        self.odd: set[str] = set()
        self.full_size = (0, 0)
        self._decoded: dict[int, Image.Image] = {}

    def pixels(self, size: int) -> Pixels:
        with self._any_exception_is_the_files_problem():
            square = self._at_least(size).resize((size, size), Image.Resampling.BILINEAR)
            return np.array(square)  # a copy, as np.asarray would be read-only

    def whole(self, size: int) -> Pixels:
        with self._any_exception_is_the_files_problem():
            return np.array(self._at_least(size))

    def facts(self) -> Facts:
        with self._any_exception_is_the_files_problem():
            dhash = difference_hash(self._at_least(HASH_SIDE))
        width, height = self.full_size
        return Facts(self.sha256, dhash, width, height, tuple(o for o in ODDITIES if o in self.odd))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def _at_least(self, size: int) -> Image.Image:
        """Upright RGB with sides of at least twice `size` where the file has as many pixels.

        Sizes up to `HASH_SIDE` share one scale, so that they, and the hash, need one decoding.
        Only JPEGs have scales; any other picture is decoded whole, and once.
        """
        side = 2 * max(size, HASH_SIDE) if self.content.startswith(b"\xff\xd8") else 0
        if side not in self._decoded:
            self._decoded[side] = self._open_and_load(side)
        return self._decoded[side]

    def _open_and_load(self, side: int) -> Image.Image:
        check_png_checksums(self.content)
        with Image.open(io.BytesIO(self.content), formats=FORMATS) as image:
            check_shape(image)
            full_size = image.size
            image.draft("RGB", (side, side))  # lets libjpeg halve up to three times
            check_memory(image, full_size)
            if "progressive" in image.info:
                check_jpeg_scans(self.content)
            self.odd |= _oddities(image, self.name)  # before load(), which forgets the tiles
            if image.format == "TIFF" and orientation(image) != 1:  # load() turns it and forgets
                self.odd.add("turned")
            image.load()
            exif = orientation(image)  # only now: a PNG may state it after its pixels
            rgb = turn(to_rgb(image), exif)
            self._note_loaded(image, exif, full_size)
            return rgb

    def _note_loaded(
        self, image: Image.Image, exif_orientation: int, full_size: tuple[int, int]
    ) -> None:
        width, height = image.size if image.format == "TIFF" else full_size
        self.full_size = (height, width) if exif_orientation >= 5 else (width, height)
        if exif_orientation != 1:
            self.odd.add("turned")
        if image.format in _ANIMATED_FORMATS and _is_animated(image):  # it seeks: after the pixels
            self.odd.add("animated")

    @contextmanager
    def _any_exception_is_the_files_problem(self) -> Iterator[None]:
        """OSError, SyntaxError, struct.error, MemoryError, ...: decoders fail in all of these."""
        try:
            with quiet_pillow():
                yield
        except UnusableImage as error:
            raise UnusableImage(str(error), self.sha256) from None
        except Exception as error:
            raise UnusableImage(_reason(error, self.content), self.sha256) from error


def _reason(error: Exception, content: bytes) -> str:
    if isinstance(error, PIL.UnidentifiedImageError):
        return describe_unknown(content)
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: more than {MAX_PIXELS / 1e6:.0f} million pixels"
    if isinstance(error, MemoryError):
        return f"too large: decoding takes more than {MAX_MEMORY_BYTES / 2**20:.0f} MB"
    if "truncated" in str(error):
        return "truncated: the end of the file is missing"
    return f"damaged: {error or type(error).__name__}"


def _oddities(image: ImageFile.ImageFile, name: str) -> set[str]:
    """What the header shows to be unusual."""
    odd = set()
    if image.mode == "CMYK":
        odd.add("CMYK")
    if image.mode in ("P", "PA"):
        odd.add("palette")
    if image.has_transparency_data:
        odd.add("transparency")
    raw_modes = [str(tile.args) for tile in image.tile]
    if image.mode.startswith("I") or any(_RAW_16_BIT.search(raw_mode) for raw_mode in raw_modes):
        odd.add("16-bit")
    suffix = Path(name).suffix.lower()
    if suffix and suffix not in _SUFFIXES[str(image.format)]:
        odd.add("wrong extension")
    return odd


def _is_animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a second frame that is damaged does not concern the first
        return True
