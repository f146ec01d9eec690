"""A thousand damaged pictures: each is decoded or refused, quickly and in little memory."""

import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from data import decode_pool
from data.decode import Inspection
from data.decode_pool import decode_in_order
from tests.data.pictures import SHARED, encoded, scene

NUM_MUTANTS = 1_200


def originals():
    """Yield a small file of every format, and of variants that a decoder treats differently."""
    image = scene(1, 60, 44)
    film = {"save_all": True, "append_images": [scene(2, 60, 44), scene(3, 60, 44)]}
    grey16 = image.convert("L").convert("I;16")
    exif = Image.Exif()
    exif[0x0112] = 6
    yield encoded(image, exif=exif)
    yield encoded(image, progressive=True, subsampling=0)
    yield encoded(image.convert("CMYK"))
    yield encoded(image.convert("P"), "PNG", transparency=3)
    yield encoded(image.convert("RGBA"), "WEBP", lossless=True, exif=exif)
    yield encoded(image.convert("1"), "TIFF", compression="group4")
    for file_format in ("MPO", "PNG", "WEBP", "GIF"):
        yield encoded(image, file_format, **film)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield encoded(image, "TIFF", compression=compression)
    for file_format in ("PNG", "TIFF", "PPM"):
        yield encoded(grey16, file_format)
    for file_format in ("BMP", "PPM", *(["AVIF"] if features.check("avif") else [])):
        yield encoded(image, file_format)
    if (SHARED / "bad_images").exists():
        files = sorted((SHARED / "bad_images").iterdir())
        yield from (f.read_bytes() for f in files if 0 < f.stat().st_size < 50_000)


def mutant(content, draw):
    """Return the content with a few errors, such as those of disks and networks."""
    damaged = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(max(1, len(damaged)))
        header = draw.randrange(64)
        extreme = draw.choice([0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1])
        first, last, new = draw.choice(
            [
                (at, at + 1, bytes([draw.randrange(256)])),
                (header, header + 1, bytes([draw.randrange(256)])),
                (at, len(damaged), b""),
                (at, at + draw.randint(1, 30), b""),
                (at, at, damaged[at : at + draw.randint(1, 200)]),
                (header, header + 4, struct.pack(draw.choice("<>") + "I", extreme)),
                (at, at + 20, draw.randbytes(20)),
            ]
        )
        damaged[first:last] = new
    return with_right_checksums(damaged)


def with_right_checksums(content):
    """Correct the checksums of a PNG; with wrong ones, every mutant would be refused."""
    start = 8
    while content.startswith(b"\x89PNG\r\n\x1a\n") and start + 12 <= len(content):
        end = start + 8 + int.from_bytes(content[start : start + 4], "big")
        if end + 4 > len(content):
            break
        content[end : end + 4] = struct.pack(">I", zlib.crc32(content[start + 4 : end]))
        start = end + 4
    return bytes(content)


@pytest.mark.slow
def test_a_thousand_mutants(tmp_path, monkeypatch):
    """In workers, which end with an error if a file takes more than 1 GB or 5 s."""
    monkeypatch.setattr(decode_pool, "SECONDS_PER_FILE", 5.0)
    draw, files = random.Random(20240607), list(originals())
    for number in range(NUM_MUTANTS):
        (tmp_path / str(number)).write_bytes(mutant(files[number % len(files)], draw))
    results = list(decode_in_order((str(tmp_path / str(n)) for n in range(NUM_MUTANTS)), [32]))
    pixels = [result.pixels[0] for result in results if isinstance(result, Inspection)]
    reasons = [str(result) for result in results if not isinstance(result, Inspection)]
    assert min(len(pixels), len(reasons)) > NUM_MUTANTS / 10
    assert {(p.shape, p.dtype) for p in pixels} == {((32, 32, 3), np.dtype(np.uint8))}
    assert all(reasons) and not any("crash" in r for r in reasons)


LARGE = {  # half the sides, so a quarter of the memory, of the largest accepted pictures
    "transparent.png": ("RGBA", 3100, {"compress_level": 1}),
    "colour.webp": ("RGB", 3700, {"method": 0}),
    "progressive.jpg": ("RGB", 5100, {"progressive": True, "subsampling": 0}),
}


@pytest.mark.slow
def test_the_largest_accepted_pictures_fit_into_1_gb(tmp_path, monkeypatch):
    monkeypatch.setattr(decode_pool, "MEMORY_LIMIT_BYTES", 2**30 // 4)
    for name, (mode, side, options) in LARGE.items():
        Image.new(mode, (side, side)).save(tmp_path / name, **options)
    results = list(decode_in_order([str(tmp_path / name) for name in LARGE], [32]))
    assert all(isinstance(result, Inspection) for result in results), results
