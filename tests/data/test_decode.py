"""Every file becomes the right pixels, or is refused with the right reason."""

import csv
import os
import struct
import zlib
from contextlib import nullcontext
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image, ImageCms

from data.decode import MAX_FILE_BYTES, decode, inspect
from data.images import UnusableImage
from tests.data.pictures import AVIF, FILM, ORIENTATION, SHARED, encoded, other_profile, scene

BAD_IMAGES = SHARED / "bad_images"
EXPECTED = BAD_IMAGES / "expected.csv"
ROWS = [*csv.DictReader(EXPECTED.read_text().splitlines())] if EXPECTED.exists() else []


def resized(image, size):
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(("name", "expected"), [(row["file"], row["expected"]) for row in ROWS])
def test_the_36_hostile_files_end_as_expected(name, expected):
    refused = pytest.raises(UnusableImage, match=r"\w+ \w+")
    with refused if expected == "reject" else nullcontext():
        assert decode(BAD_IMAGES / name, 64).shape == (64, 64, 3)


TURN = Image.Transpose
STORED = dict(enumerate((TURN.FLIP_LEFT_RIGHT, TURN.ROTATE_180, TURN.FLIP_TOP_BOTTOM), 2))
STORED |= dict(enumerate((TURN.TRANSPOSE, TURN.ROTATE_90, TURN.TRANSVERSE, TURN.ROTATE_270), 5))


@pytest.mark.parametrize("orientation", [*range(10), 65535])  # valid ones are 1 to 8
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(file_format, orientation):
    image, exif = scene(7, 90, 60), Image.Exif()
    exif[ORIENTATION] = orientation
    stored = image.transpose(STORED[orientation]) if orientation in STORED else image
    inspection = inspect(encoded(stored, file_format, exif=exif, quality=95), [32])
    assert abs(inspection.pixels[0].astype(int) - resized(image, 32)).mean() < 6
    assert (inspection.facts.width, inspection.facts.height) == (90, 60)
    assert ("turned" in inspection.facts.odd) == (orientation in STORED)


@pytest.mark.parametrize("mode", ["RGB", "1", "L"])
@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_pixels_are_those_of_pillows_bilinear(file_format, mode):
    image = scene(3, 500, 333).convert(mode)
    sizes = [1, 64, 600]
    for size, pixels in zip(sizes, inspect(encoded(image, file_format), sizes).pixels, strict=True):
        np.testing.assert_array_equal(pixels, resized(image, size))
        assert pixels.flags.writeable


LOSSY = ["JPEG", "WEBP", "GIF", *AVIF, *(["HEIF"] if find_spec("pillow_heif") else [])]


@pytest.mark.parametrize("file_format", LOSSY)
@pytest.mark.parametrize("sides", [(96, 64), (1400, 1040)])
def test_lossy_formats_and_drafts_change_little(file_format, sides):
    image = scene(4, *sides)
    content = encoded(image, file_format)
    both = inspect(content, [64, 300])
    difference = both.pixels[0].astype(int) - resized(image, 64)
    assert abs(difference).mean() < 12  # GIF has 256 colours
    np.testing.assert_array_equal(both.pixels[1], decode(content, 300))
    assert both.facts == inspect(content).facts  # the sizes do not change the hash


CLEAR = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
CLEAR.paste((0, 0, 0, 0), (0, 0, 8, 4))
RED_BELOW_WHITE = np.array([[[255, 255, 255]]] * 4 + [[[255, 0, 0]]] * 4)
RED = Image.new("RGB", (96, 64), "red")
RAMP = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
ODD = [
    ("transparency", encoded(CLEAR, "PNG"), RED_BELOW_WHITE),
    ("transparency", encoded(CLEAR, "WEBP", lossless=True), RED_BELOW_WHITE),
    ("transparency", encoded(CLEAR.convert("P"), "PNG"), RED_BELOW_WHITE),
    ("transparency", encoded(CLEAR, "GIF"), RED_BELOW_WHITE),
    ("CMYK", encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0))), [255, 0, 0]),
    *(
        ("animated", encoded(RED, file_format, lossless=True, **FILM), [255, 0, 0])
        for file_format in ("GIF", "PNG", "WEBP", "TIFF")
    ),
    *(
        ("16-bit", encoded(Image.fromarray(RAMP), file_format), np.round(RAMP / 257)[..., None])
        for file_format in ("PNG", "TIFF", "PPM")
    ),
]


@pytest.mark.parametrize(("kind", "content", "wanted"), ODD, ids=[kind for kind, *_ in ODD])
def test_odd_files_have_the_pixels_that_people_see(kind, content, wanted):
    inspection = inspect(content, [8])
    np.testing.assert_allclose(inspection.pixels[0], np.broadcast_to(wanted, (8, 8, 3)), atol=1)
    assert kind in inspection.facts.odd


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
OTHER, COLOUR, EXCHANGED, ORANGE = other_profile(), (200, 100, 50), [100, 200, 50], (234, 51, 35)


@pytest.mark.parametrize(
    ("mode", "profile", "colour", "file_format", "wanted"),
    [
        *(("RGB", OTHER, COLOUR, kind, EXCHANGED) for kind in ("PNG", "JPEG", "WEBP", "TIFF")),
        ("LA", OTHER, (128, 255), "PNG", [128] * 3),  # grey may be RGB
        ("CMYK", OTHER, (255, 0, 0, 0), "TIFF", None),  # meant for another kind of picture
        ("RGB", SRGB, ORANGE, "PNG", None),
        ("L", SRGB, 99, "PNG", None),
        ("RGB", b"rubbish" * 40, ORANGE, "PNG", None),
        ("RGB", OTHER[:300], ORANGE, "PNG", None),
    ],
)
def test_colour_profiles(mode, profile, colour, file_format, wanted):
    """Colours become sRGB; a profile of sRGB, a damaged or a wrong one changes nothing."""
    image = Image.new(mode, (16, 16), colour)
    found = inspect(encoded(image, file_format, icc_profile=profile), [1])
    assert ("colour profile" in found.facts.odd) == (wanted is not None)
    if wanted is None:
        np.testing.assert_array_equal(found.pixels[0], decode(encoded(image, file_format), 1))
    else:
        atol = 6 if file_format in ("JPEG", "WEBP") else 2
        np.testing.assert_allclose(found.pixels[0][0, 0], wanted, atol=atol)


def png_of(width, height, colour_type=2):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(bytes(100)), b"IEND"]
    parts = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def huge_progressive_jpeg():
    content = encoded(Image.new("RGB", (8, 8)), progressive=True)
    start = content.index(b"\xff\xc2") + 5
    return content[:start] + struct.pack(">HH", 11300, 11300) + content[start + 4 :]


def tiff_of(number, dtype):
    return encoded(Image.fromarray(np.full((8, 8), number, dtype)), "TIFF")


PHOTO = encoded(scene(1, 400, 300))
LZW = encoded(scene(1), "TIFF", compression="tiff_lzw")
REFUSED = {
    "empty": (b"", "empty"),
    "zeros": (bytes(5000), "zero bytes"),
    "html": (b"\n <!DOCTYPE HTML><html>", "HTML"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unknown format"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(100), "pip install pillow-heif"),
    "postscript": (encoded(scene(1), "EPS"), "unknown format"),
    "icon": (encoded(scene(1), "ICO"), "unknown format"),
    "jpeg": (b"\xff\xd8 and nothing more", "starts as a picture"),
    "strip": (png_of(5000, 10), "strip"),
    "bomb": (png_of(2**31 - 1, 2**31 - 1), "too large"),
    "memory": (png_of(7000, 7000, colour_type=6), "would take .* MB"),
    "coefficients": (huge_progressive_jpeg(), "would take .* MB"),
    "truncated jpeg": (PHOTO[:-2000], "truncated"),
    "zero tail": (PHOTO[:9000] + bytes(9000), "truncated"),
    "truncated tiff": (LZW[:-2000], "header is invalid"),
    "truncated png": (encoded(scene(1, 400, 300), "PNG")[:-2000], "truncated"),
    "flipped bit": (encoded(scene(1), "PNG").replace(b"IDAT", b"IDAT\0", 1), "checksum|damaged"),
    "floats": (tiff_of(0.5, np.float32), "floating-point"),
    "32 bits": (tiff_of(120, np.int32), "32-bit"),  # whatever the values are
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_refused_file_has_its_reason(content, reason):
    with pytest.raises(UnusableImage, match=reason):
        decode(content, 64)


def test_files_that_cannot_be_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with open(tmp_path / "disk.jpg", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    reasons = {"pipe.jpg": "pipe", "none.jpg": "No such file", ".": "folder|directory"}
    reasons |= {"a\0b.jpg": "null", "disk.jpg": "too large"}
    for name, reason in reasons.items():
        with pytest.raises(UnusableImage, match=reason):
            decode(f"{tmp_path}/{name}", 8)
