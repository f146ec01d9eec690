"""Every file becomes the right pixels, or is refused with the right reason."""

import csv
import hashlib
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from data.decode import MAX_FILE_BYTES, decode, inspect
from data.images import UnusableImage
from tests.data.pictures import SHARED, encoded, other_profile, scene

BAD_IMAGES = SHARED / "bad_images"
EXPECTED = BAD_IMAGES / "expected.csv"
ORIENTATION = 0x0112


def expected_rows():
    text = EXPECTED.read_text() if EXPECTED.exists() else ""
    return [(row["file"], row["expected"]) for row in csv.DictReader(text.splitlines())]


@pytest.mark.parametrize(("name", "expected"), expected_rows())
def test_the_36_hostile_files_end_as_expected(name, expected):
    if expected == "reject":
        with pytest.raises(UnusableImage, match=r"\w+ \w+"):
            decode(BAD_IMAGES / name, 64)
        return
    pixels = decode(BAD_IMAGES / name, 64).astype(int)
    if name == "basn0g16.png":  # 16-bit grey keeps its greys
        assert abs(pixels.mean() - 144) < 2
    if name.startswith("portrait"):  # turned upright, all are the same
        assert abs(pixels - decode(BAD_IMAGES / "portrait_exif_1.jpg", 64)).mean() < 5


TURN = Image.Transpose
STORED = dict(enumerate((TURN.FLIP_LEFT_RIGHT, TURN.ROTATE_180, TURN.FLIP_TOP_BOTTOM), 2))
STORED |= dict(enumerate((TURN.TRANSPOSE, TURN.ROTATE_90, TURN.TRANSVERSE, TURN.ROTATE_270), 5))


@pytest.mark.parametrize("orientation", [*range(10), 65535])  # valid ones are 1 to 8
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(file_format, orientation):
    image = scene(7, 90, 60)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = image.transpose(STORED[orientation]) if orientation in STORED else image
    options = {"quality": 95} if file_format in ("JPEG", "WEBP") else {}
    content = encoded(stored, file_format, exif=exif, **options)
    inspection = inspect(content, [32])
    wanted = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert abs(inspection.pixels[0] - wanted).mean() < 6
    assert (inspection.facts.width, inspection.facts.height) == (90, 60)
    assert ("turned" in inspection.facts.odd) == (orientation in STORED)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_16_bit_is_scaled(file_format):
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    inspection = inspect(encoded(Image.fromarray(ramp), file_format), [64])
    wanted = np.round(ramp / 257)
    assert abs(inspection.pixels[0][:, :, 0] - wanted).max() <= 1
    assert inspection.facts.odd == ("16-bit",)


@pytest.mark.parametrize("size", [1, 64, 600])
@pytest.mark.parametrize("mode", ["RGB", "1", "L"])
@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_pixels_are_those_of_pillows_bilinear(file_format, mode, size):
    image = scene(3, 500, 333).convert(mode)
    pixels = decode(encoded(image, file_format), size)
    wanted = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(pixels, wanted)
    assert pixels.flags.writeable


LOSSY = ["JPEG", "WEBP", "GIF", *(["AVIF"] if features.check("avif") else [])]


@pytest.mark.parametrize("file_format", LOSSY)
@pytest.mark.parametrize("sides", [(96, 64), (1600, 1200)])
def test_lossy_formats_and_drafts_change_little(file_format, sides):
    image = scene(4, *sides)
    wanted = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR)).astype(int)
    content = encoded(image, file_format)
    both = inspect(content, [64, 400])
    assert abs(both.pixels[0] - wanted).mean() < 12  # GIF has 256 colours
    np.testing.assert_array_equal(both.pixels[1], decode(content, 400))
    assert both.facts == inspect(content).facts  # the sizes do not change the hash


def test_facts_of_a_file(tmp_path):
    path, content = tmp_path / "picture.PNG", encoded(scene(1))
    path.write_bytes(content)
    facts = inspect(path).facts
    assert (facts.odd, facts.sha256) == (("wrong extension",), hashlib.sha256(content).hexdigest())
    assert inspect(str(path)).facts == facts
    path.write_bytes(encoded(scene(1), "PNG"))
    assert inspect(path).facts.odd == ()


def test_files_that_cannot_be_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "secret.jpg").write_bytes(encoded(scene(1)))
    (tmp_path / "secret.jpg").chmod(0)
    with open(tmp_path / "disk.jpg", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    reasons = {"pipe.jpg": "pipe", "none.jpg": "No such file", ".": "folder|directory"}
    reasons |= {"a\0b.jpg": "null", "disk.jpg": "too large"}
    if os.geteuid():  # root may read everything
        reasons["secret.jpg"] = "Permission denied"
    for name, reason in reasons.items():
        with pytest.raises(UnusableImage, match=reason):
            decode(f"{tmp_path}/{name}", 8)


TRANSPARENT = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
TRANSPARENT.paste((0, 0, 0, 0), (0, 0, 8, 4))
INDEXED = Image.new("P", (8, 8), 1)
INDEXED.putpalette([0, 0, 0, 255, 0, 0])
INDEXED.paste(0, (0, 0, 8, 4))
RED_BELOW_WHITE = {
    "png": encoded(TRANSPARENT, "PNG"),
    "webp": encoded(TRANSPARENT, "WEBP", lossless=True),
    "palette": encoded(TRANSPARENT.convert("P"), "PNG"),
    "gif": encoded(INDEXED, "GIF", transparency=0),
}


@pytest.mark.parametrize("name", RED_BELOW_WHITE)
def test_transparency_shows_white(name):
    inspection = inspect(RED_BELOW_WHITE[name], [8])
    assert inspection.pixels[0][:, 0].tolist() == [[255, 255, 255]] * 4 + [[255, 0, 0]] * 4
    assert "transparency" in inspection.facts.odd


@pytest.mark.parametrize("error", [SyntaxError("x"), struct.error("x"), MemoryError()])
def test_any_exception_of_a_decoder_makes_the_file_unusable(monkeypatch, error):
    content, raised = encoded(scene(1)), [error, KeyboardInterrupt()]

    def fail(*args, **kwargs):
        raise raised.pop(0)

    monkeypatch.setattr(Image.Image, "resize", fail)
    with pytest.raises(UnusableImage):
        decode(content, 8)
    with pytest.raises(KeyboardInterrupt):  # but not Ctrl-C
        decode(content, 8)


def test_pillows_warnings_stay_inside():
    """Also in threads, although the filters are global."""
    content = encoded(scene(1), exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01")
    before = list(warnings.filters)
    with ThreadPoolExecutor(16) as pool:
        assert len(list(pool.map(decode, [content] * 32, [64] * 32))) == 32
    assert warnings.filters == before


def test_samples_without_a_range_are_refused():
    floats = Image.fromarray(np.linspace(-5, 1e6, 64, dtype=np.float32).reshape(8, 8))
    with pytest.raises(UnusableImage, match="floating-point"):
        decode(encoded(floats, "TIFF"), 8)
    for value in (2**30, 120):  # also small values: one rule for all 32-bit files
        integers = Image.fromarray(np.full((8, 8), value, np.int32))
        with pytest.raises(UnusableImage, match="32-bit"):
            decode(encoded(integers, "TIFF"), 8)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RED, CYAN = (234, 51, 35), (255, 0, 0, 0)


@pytest.mark.parametrize(
    ("mode", "profile", "colour", "file_format", "wanted"),
    [
        ("RGB", other_profile(), (200, 100, 50), "PNG", [100, 200, 50]),
        ("RGB", other_profile(), (200, 100, 50), "JPEG", [100, 200, 50]),
        ("RGB", other_profile(), (200, 100, 50), "WEBP", [100, 200, 50]),
        ("RGB", other_profile(), (200, 100, 50), "TIFF", [100, 200, 50]),
        ("LA", other_profile(), (128, 255), "PNG", [128] * 3),  # grey may be RGB
        ("CMYK", other_profile(), CYAN, "TIFF", None),  # meant for another kind of picture
        ("RGB", SRGB, RED, "PNG", None),
        ("L", SRGB, 99, "PNG", None),
        ("RGB", b"rubbish" * 40, RED, "PNG", None),
        ("RGB", other_profile()[:300], RED, "PNG", None),
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


@pytest.mark.skipif(find_spec("pillow_heif") is None, reason="pillow-heif is not installed")
def test_heic_is_read_where_pillow_heif_is_installed():
    found = inspect(encoded(scene(1), "HEIF"), [64])
    wanted = np.asarray(scene(1).resize((64, 64), Image.Resampling.BILINEAR)).astype(int)
    assert abs(found.pixels[0] - wanted).mean() < 6


FRAMES = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
ALL_RED = {
    "CMYK": encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0))),
    **{
        f"animated {kind}": encoded(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:])
        for kind in ("GIF", "PNG", "WEBP", "TIFF")
    },
}


@pytest.mark.parametrize("name", ALL_RED)
def test_the_first_frame_is_used_and_cmyk_becomes_rgb(name):
    inspection = inspect(ALL_RED[name], [4])
    np.testing.assert_allclose(inspection.pixels[0][0, 0], [255, 0, 0], atol=3)
    assert name.split()[0] in inspection.facts.odd


def test_a_photograph_of_200_megapixels_is_decoded_smaller():
    found = inspect(encoded(Image.new("RGB", (16384, 12288), "red")), [64])
    assert (found.facts.width, found.facts.height) == (16384, 12288)
    np.testing.assert_allclose(found.pixels[0][0, 0], [255, 0, 0], atol=3)


def png_of(width, height, colour_type=2, bits=8, pixels=bytes(100)):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    data = b"IDAT" + zlib.compress(pixels)
    chunks = [header, data, b"IEND"]
    parts = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def huge_progressive_jpeg():
    content = encoded(Image.new("RGB", (8, 8)), progressive=True)
    start = content.index(b"\xff\xc2") + 5
    return content[:start] + struct.pack(">HH", 11300, 11300) + content[start + 4 :]


REFUSED = {
    "empty": (b"", "empty"),
    "zeros": (bytes(5000), "zero bytes"),
    "html": (b"\n <!DOCTYPE HTML><html>", "HTML"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unknown format"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(100), "pip install pillow-heif"),
    "postscript": (encoded(scene(1), "EPS"), "unknown format"),
    "icon": (encoded(scene(1), "ICO"), "unknown format"),
    "text": (b"hello", "unknown format"),
    "jpeg": (b"\xff\xd8 and nothing more", "starts as a picture"),
    "strip": (png_of(5000, 10), "strip"),
    "pixels": (png_of(20000, 20000), "too large"),
    "bomb": (png_of(2**31 - 1, 2**31 - 1), "too large"),
    "memory": (png_of(7000, 7000, colour_type=6), "would take .* MB"),
    "coefficients": (huge_progressive_jpeg(), "would take .* MB"),
    "truncated jpeg": (encoded(scene(1, 400, 300))[:-2000], "truncated"),
    "zero tail": (encoded(scene(1, 400, 300))[:9000] + bytes(9000), "truncated"),
    "truncated tiff": (
        encoded(scene(1), "TIFF", compression="tiff_lzw")[:-2000],
        "header is invalid",
    ),
    "truncated png": (encoded(scene(1, 400, 300), "PNG")[:-2000], "truncated"),
    "flipped bit": (encoded(scene(1), "PNG").replace(b"IDAT", b"IDAT\0", 1), "checksum|damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_file_has_its_reason(name):
    content, reason = REFUSED[name]
    with pytest.raises(UnusableImage, match=reason):
        decode(content, 64)
