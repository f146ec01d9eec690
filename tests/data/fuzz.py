"""Mutants of pictures of every format: python -m tests.data.fuzz [HOW_MANY] [SEED]"""

import json
import random
import resource
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, features

from data.decode import UnusableImage, inspect
from tests.data.pictures import SHARED, encoded, scene


def seeds() -> Iterator[bytes]:
    """A small file of every format, and of the variants that take other ways through a decoder."""
    image = scene(1, 60, 44)
    frames = [scene(2, 60, 44), scene(3, 60, 44)]
    grey16 = image.convert("L").convert("I;16")
    exif = Image.Exif()
    exif[0x0112] = 6
    yield encoded(image, exif=exif)
    yield encoded(image, progressive=True, subsampling=0)
    yield encoded(image.convert("CMYK"))
    yield encoded(image, "MPO", save_all=True, append_images=frames)
    yield encoded(image, "PNG", exif=exif)
    yield encoded(image.convert("P"), "PNG", transparency=3)
    yield encoded(grey16, "PNG")
    yield encoded(image, "PNG", save_all=True, append_images=frames)
    yield encoded(image, "WEBP", exif=exif)
    yield encoded(image.convert("RGBA"), "WEBP", lossless=True)
    yield encoded(image, "WEBP", save_all=True, append_images=frames)
    yield encoded(image, "GIF", save_all=True, append_images=frames)
    yield encoded(image, "BMP")
    yield encoded(image.convert("P"), "BMP")
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield encoded(image, "TIFF", compression=compression)
    yield encoded(image.convert("1"), "TIFF", compression="group4")
    yield encoded(grey16, "TIFF", tiffinfo={0x0112: 8})
    yield encoded(image, "PPM")
    yield encoded(grey16, "PPM")
    yield b"P3 2 2 255 " + b"1 2 3 " * 4
    if features.check("avif"):
        yield encoded(image, "AVIF")


def mutant(content: bytes, draw: random.Random) -> bytes:
    """The content with a few mistakes of the kinds that disks, networks and people make."""
    damaged = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(damaged)) if damaged else 0
        near_the_header = draw.randrange(min(len(damaged), 64)) if damaged else 0
        kind = draw.randrange(7)
        if kind == 0:
            damaged[at : at + 1] = bytes([draw.randrange(256)])
        elif kind == 1:
            damaged[near_the_header : near_the_header + 1] = bytes([draw.randrange(256)])
        elif kind == 2:
            del damaged[at:]
        elif kind == 3:
            del damaged[at : at + draw.randint(1, 30)]
        elif kind == 4:
            damaged[at:at] = damaged[at : at + draw.randint(1, 200)]
        elif kind == 5:
            extreme = draw.choice([0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1])
            order = draw.choice("<>")
            damaged[near_the_header : near_the_header + 4] = struct.pack(f"{order}I", extreme)
        else:
            damaged[at : at + 20] = draw.randbytes(20)
    return with_right_checksums(bytes(damaged))


def with_right_checksums(content: bytes) -> bytes:
    """Mends the checksums of a PNG, or no mutant would get past them."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    mended, start = bytearray(content), 8
    while start + 12 <= len(mended):
        end = start + 8 + int.from_bytes(mended[start : start + 4], "big")
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = struct.pack(">I", zlib.crc32(mended[start + 4 : end]))
        start = end + 4
    return bytes(mended)


def outcome(content: bytes) -> str:
    """What became of it, and nothing else than these two may become of it."""
    try:
        pixels = inspect(content, [32]).pixels[0]
    except UnusableImage as error:
        assert str(error)  # noqa: PT017 - a reason is what we promise
        return "refused"
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    return "decoded"


def fuzz(num_mutants: int, seed: int) -> dict[str, float]:
    """Decodes that many mutants and says how it went."""
    originals = list(seeds())
    if (SHARED / "bad_images").exists():
        files = sorted((SHARED / "bad_images").iterdir())
        originals += [f.read_bytes() for f in files if 0 < f.stat().st_size < 50_000]
    draw = random.Random(seed)
    result = {"decoded": 0.0, "refused": 0.0, "slowest_s": 0.0}
    for number in range(num_mutants):
        content = mutant(originals[number % len(originals)], draw)
        started = time.process_time()
        result[outcome(content)] += 1
        result["slowest_s"] = max(result["slowest_s"], time.process_time() - started)
    return {**result, "peak_bytes": peak_bytes()}


def peak_bytes() -> int:
    """Most memory this process has had. Linux counts what started it into ru_maxrss, too."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    how_many, *seed = [int(argument) for argument in sys.argv[1:]] or [20_000]
    print(json.dumps(fuzz(how_many, *seed or [0])))
