"""Every kind of file becomes the right pixels, or is refused with the right words."""

import csv
import hashlib
import io
import os
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from data.decode import UnusableImage, decode, inspect
from data.limits import MAX_FILE_BYTES
from tests.data.pictures import SHARED, encoded, scene

BAD_IMAGES = SHARED / "bad_images"
EXPECTED = BAD_IMAGES / "expected.csv"
ORIENTATION = 0x0112


def expected_rows():
    if not EXPECTED.exists():
        return []
    with open(EXPECTED, newline="") as file:
        return [(row["file"], row["expected"]) for row in csv.DictReader(file)]


@pytest.mark.skipif(not EXPECTED.exists(), reason="../shared/bad_images is not here")
@pytest.mark.parametrize(("name", "expected"), expected_rows())
def test_the_36_hostile_files_end_as_expected(name, expected):
    if expected == "reject":
        with pytest.raises(UnusableImage, match=r"\w+ \w+"):
            decode(BAD_IMAGES / name, 64)
    else:
        assert decode(BAD_IMAGES / name, 64).shape == (64, 64, 3)


@pytest.mark.skipif(not EXPECTED.exists(), reason="../shared/bad_images is not here")
def test_16_bit_grey_keeps_its_greys():
    assert abs(decode(BAD_IMAGES / "basn0g16.png", 64).mean() - 144) < 2


@pytest.mark.skipif(not EXPECTED.exists(), reason="../shared/bad_images is not here")
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_turned_portraits_are_the_upright_one(orientation):
    upright = decode(BAD_IMAGES / "portrait_exif_1.jpg", 64).astype(int)
    turned = decode(BAD_IMAGES / f"portrait_exif_{orientation}.jpg", 64).astype(int)
    assert abs(upright - turned).mean() < 5
    assert "turned" in inspect(BAD_IMAGES / f"portrait_exif_{orientation}.jpg").facts.odd


FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"]
FORMATS += ["AVIF"] if features.check("avif") else []


@pytest.mark.parametrize("file_format", FORMATS)
def test_formats(file_format):
    wanted = np.asarray(scene(1).resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    pixels = decode(encoded(scene(1), file_format), 32).astype(int)
    assert abs(pixels - wanted).mean() < 12  # GIF has 256 colours
    if file_format in ("PNG", "BMP", "TIFF", "PPM"):
        np.testing.assert_array_equal(pixels, wanted)


def test_formats_outside_the_list_are_not_tried():
    for file_format in ("ICO", "TGA", "PCX", "EPS", "PDF"):
        with pytest.raises(UnusableImage, match=r"unknown format|PostScript|PDF"):
            decode(encoded(scene(1), file_format), 32)


@pytest.mark.parametrize("kind", ["str", "path", "bytes", "bytearray", "memoryview", "file"])
def test_sources(kind, tmp_path):
    content = encoded(scene(2))
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    sources = {
        "str": str(path),
        "path": path,
        "bytes": content,
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "file": io.BytesIO(content),
    }
    np.testing.assert_array_equal(decode(sources[kind], 48), decode(path, 48))


@pytest.mark.parametrize("size", [1, 32, 64, 200])
def test_resize_is_pillows_bilinear_on_the_whole_picture(size):
    image = scene(3, 500, 333)
    wanted = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), size), wanted)


@pytest.mark.parametrize("size", [64, 300])
def test_draft_mode_changes_nothing_that_one_sees(size):
    content = encoded(scene(4, 2400, 1800), quality=90)
    with Image.open(io.BytesIO(content)) as image:
        whole = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).astype(int)
    assert abs(decode(content, size) - whole).max() <= 3


def test_each_size_is_the_same_alone_and_together():
    content = encoded(scene(5, 3000, 2000))
    together = inspect(content, [64, 80, 400]).pixels
    for size, pixels in zip([64, 80, 400], together, strict=True):
        np.testing.assert_array_equal(pixels, decode(content, size))


def test_the_hash_does_not_depend_on_the_sizes():
    content = encoded(scene(6, 3000, 2000))
    hashes = {
        inspect(content, sizes).facts.difference_hash for sizes in ([], [64], [700], [9, 700])
    }
    assert len(hashes) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(file_format, orientation):
    image = scene(7, 90, 60)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = {
        1: lambda i: i,
        2: lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda i: i.rotate(180),
        4: lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda i: i.rotate(90, expand=True).transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        6: lambda i: i.rotate(90, expand=True),
        7: lambda i: i.rotate(90, expand=True).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        8: lambda i: i.rotate(270, expand=True),
    }[orientation](image)
    options = {"quality": 95} if file_format in ("JPEG", "WEBP") else {}
    content = encoded(stored, file_format, exif=exif, **options)
    inspection = inspect(content, [32])
    wanted = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert abs(inspection.pixels[0] - wanted).mean() < 6
    assert (inspection.facts.width, inspection.facts.height) == (90, 60)
    assert ("turned" in inspection.facts.odd) == (orientation != 1)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(value):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    facts = inspect(encoded(scene(8, 90, 60), exif=exif)).facts
    assert (facts.width, facts.height, facts.odd) == (90, 60, ())


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_16_bit_is_scaled(file_format):
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    inspection = inspect(encoded(Image.fromarray(ramp), file_format), [64])
    wanted = np.round(ramp / 257)
    assert abs(inspection.pixels[0][:, :, 0] - wanted).max() <= 1
    assert inspection.facts.odd == ("16-bit",)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_16_bit_colour_is_noticed_and_a_stride_of_16_is_not(mode):
    png = encoded(Image.new(mode, (5, 5), (255,) * len(mode)), "PNG")
    assert "16-bit" not in inspect(png).facts.odd
    assert inspect(encoded(Image.new("RGB", (5, 5)), "BMP")).facts.odd == ()
    assert "16-bit" in inspect(png_16_bit(colour_type=2 if mode == "RGB" else 6)).facts.odd


def test_pixels_are_writable():
    assert decode(encoded(scene(1)), 8).flags.writeable


def test_samples_without_a_range_are_refused():
    floats = Image.fromarray(np.linspace(-5, 1e6, 64, dtype=np.float32).reshape(8, 8))
    with pytest.raises(UnusableImage, match="floating-point"):
        decode(encoded(floats, "TIFF"), 8)
    integers = Image.fromarray(np.full((8, 8), 2**30, np.int32))
    with pytest.raises(UnusableImage, match="32-bit"):
        decode(encoded(integers, "TIFF"), 8)


def half_transparent(mode):
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 8, 4))
    return image.convert(mode)


@pytest.mark.parametrize(("mode", "file_format"), [("RGBA", "PNG"), ("RGBA", "WEBP"), ("P", "PNG")])
def test_transparency_shows_white(mode, file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    inspection = inspect(encoded(half_transparent(mode), file_format, **options), [8])
    assert inspection.pixels[0][0, 0].tolist() == [255, 255, 255]
    assert inspection.pixels[0][7, 0].tolist() == [255, 0, 0]
    assert "transparency" in inspection.facts.odd


def test_a_transparent_index_of_a_gif_shows_white():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(0, (0, 0, 8, 4))
    inspection = inspect(encoded(image, "GIF", transparency=0), [8])
    assert inspection.pixels[0][:, 0].tolist() == [[255, 255, 255]] * 4 + [[255, 0, 0]] * 4


def test_cmyk():
    inspection = inspect(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0))), [8])
    np.testing.assert_allclose(inspection.pixels[0][0, 0], [255, 0, 0], atol=3)
    assert inspection.facts.odd == ("CMYK",)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_other_modes(mode):
    image = scene(9).convert(mode)
    pixels = decode(encoded(image, "PNG"), 16)
    wanted = image.convert("RGB").resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(pixels, np.asarray(wanted))


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_of_several_frames(file_format):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    content = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
    inspection = inspect(content, [4])
    np.testing.assert_allclose(inspection.pixels[0][0, 0], [255, 0, 0], atol=2)
    assert "animated" in inspection.facts.odd


def test_wrong_extension(tmp_path):
    path = tmp_path / "picture.PNG"
    path.write_bytes(encoded(scene(1)))
    assert inspect(path).facts.odd == ("wrong extension",)
    path.write_bytes(encoded(scene(1), "PNG"))
    assert inspect(path).facts.odd == ()


def png_16_bit(colour_type):
    return png_of(4, 4, colour_type, bits=16, pixels=bytes(4 * (1 + 4 * 8)))


def png_of(width, height, colour_type=2, bits=8, pixels=bytes(100)):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    data = b"IDAT" + zlib.compress(pixels)
    chunks = [header, data, b"IEND"]
    parts = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def many_scans():
    """Each scan twenty times over: a refinement of what is there already."""
    parts = encoded(scene(1), progressive=True)[:-2].split(b"\xff\xda")
    return parts[0] + b"".join((b"\xff\xda" + scan) * 20 for scan in parts[1:]) + b"\xff\xd9"


REFUSED = {
    "empty": (b"", "empty"),
    "zeros": (bytes(5000), "zero bytes"),
    "html": (b"\n <!DOCTYPE HTML><html>", "HTML"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(100), "HEIC"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
    "text": (b"hello", "unknown format"),
    "strip": (png_of(5000, 10), "strip"),
    "pixels": (png_of(20000, 20000), "too large"),
    "bomb": (png_of(2**31 - 1, 2**31 - 1), "too large"),
    "memory": (png_of(7000, 7000, colour_type=6), "would take .* MB"),
    "truncated jpeg": (encoded(scene(1, 400, 300))[:-2000], "truncated"),
    "truncated png": (encoded(scene(1, 400, 300), "PNG")[:-2000], "truncated"),
    "flipped bit": (encoded(scene(1), "PNG").replace(b"IDAT", b"IDAT\0", 1), "checksum|damaged"),
    "scans": (many_scans(), "scans"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_reasons(name):
    content, reason = REFUSED[name]
    with pytest.raises(UnusableImage, match=reason):
        decode(content, 64)


def test_a_huge_jpeg_is_decoded_small():
    assert decode(encoded(Image.new("L", (9000, 8000), 77)), 64).mean() == pytest.approx(77, abs=1)


def test_a_huge_progressive_jpeg_is_refused_before_it_eats_memory():
    content = encoded(Image.new("RGB", (8, 8)), progressive=True)
    start = content.index(b"\xff\xc2") + 5
    huge = content[:start] + struct.pack(">HH", 11300, 11300) + content[start + 4 :]
    with pytest.raises(UnusableImage, match=r"would take .* MB"):
        decode(huge, 64)


def test_a_film_after_the_picture_is_no_scan():
    content = encoded(scene(1), progressive=True)
    np.testing.assert_array_equal(decode(content + b"\xff\xda" * 500, 8), decode(content, 8))


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(UnusableImage, match="pipe"):
        decode(tmp_path / "pipe.jpg", 8)
    with pytest.raises(UnusableImage, match="No such file"):
        decode(tmp_path / "link.jpg", 8)
    with pytest.raises(UnusableImage, match="folder"):
        decode(tmp_path, 8)
    with pytest.raises(UnusableImage, match="null"):
        decode(str(tmp_path / "a\0b.jpg"), 8)


def test_a_file_of_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "disk.jpg"
    with open(path, "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(UnusableImage, match="too large"):
        decode(path, 8)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    path = tmp_path / "secret.jpg"
    path.write_bytes(encoded(scene(1)))
    path.chmod(0)
    with pytest.raises(UnusableImage, match="Permission denied"):
        decode(path, 8)


@pytest.mark.parametrize(
    "error", [SyntaxError("x"), struct.error("x"), MemoryError(), RecursionError(), KeyError("x")]
)
def test_whatever_a_decoder_raises_is_the_files_problem(monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    content = encoded(scene(1))
    monkeypatch.setattr(Image.Image, "resize", fail)
    with pytest.raises(UnusableImage):
        decode(content, 8)


def test_ctrl_c_is_not_the_files_problem(monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    content = encoded(scene(1))
    monkeypatch.setattr(Image.Image, "resize", interrupt)
    with pytest.raises(KeyboardInterrupt):
        decode(content, 8)


def with_rubbish_exif():
    content = encoded(scene(1), exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01")
    return content


def test_pillows_warnings_stay_inside_and_ours_come_out():
    before = list(warnings.filters)
    threads = [threading.Thread(target=decode, args=(with_rubbish_exif(), 64)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", stacklevel=1)


def test_facts(tmp_path):
    content = encoded(scene(1, 90, 60))
    facts = inspect(content).facts
    assert facts.sha256 == hashlib.sha256(content).hexdigest()
    with pytest.raises(UnusableImage) as refused:
        inspect(b"rubbish")
    assert refused.value.sha256 == hashlib.sha256(b"rubbish").hexdigest()
    with pytest.raises(UnusableImage) as unread:
        inspect(Path(tmp_path / "none.jpg"))
    assert unread.value.sha256 is None
