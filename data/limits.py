"""What a header may ask for before we decode: pixels, sides, memory, time."""

import re
import struct
import zlib

from PIL import Image

from data.reading import UnusableImage

MAX_PIXELS = 128_000_000  # phones reach 108 million
MAX_SIDES_RATIO = 50  # panoramas end at 20
MAX_MEMORY_BYTES = 640 * 2**20  # our estimate of what decoding one picture takes at its worst
MAX_JPEG_SCANS = 100  # a progressive JPEG has about 10

_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # none of those that stand in pixel data
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


def check_shape(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnusableImage(
            f"too large: {width} x {height} pixels, the limit is {MAX_PIXELS / 1e6:.0f} million"
        )
    if max(width, height) > MAX_SIDES_RATIO * min(width, height):
        raise UnusableImage(
            f"too thin a strip: {width} x {height} pixels, the limit is {MAX_SIDES_RATIO} to 1"
        )


def check_memory(image: Image.Image, full_size: tuple[int, int]) -> None:
    """Estimates from the header alone what decoding will take; refuses what is too much.

    Bytes a pixel: Pillow keeps 1 for a palette or grey, 4 for the rest; `to_rgb` adds 4, and 13
    for transparency or 16 bits; WebP, AVIF and TIFF decode through buffers of their own. A
    progressive JPEG keeps two bytes a coefficient for the whole picture, whatever the draft.

    Args:
        image: opened, drafted, not loaded.
        full_size: width and height before the draft.
    """
    pixel_bytes = 4 if image.mode == "RGB" else 8
    if image.has_transparency_data or image.mode.startswith("I"):
        pixel_bytes = 17
    if image.format in ("WEBP", "AVIF", "TIFF"):
        pixel_bytes += 8
    memory_bytes = pixel_bytes * image.width * image.height
    if "progressive" in image.info:
        memory_bytes += 2 * len(image.getbands()) * full_size[0] * full_size[1]
    if memory_bytes > MAX_MEMORY_BYTES:
        raise UnusableImage(
            f"too large: decoding {full_size[0]} x {full_size[1]} pixels would take"
            f" {memory_bytes / 2**20:,.0f} MB, the limit is {MAX_MEMORY_BYTES / 2**20:.0f} MB"
        )


def check_jpeg_scans(content: bytes) -> None:
    """A progressive JPEG goes over all its pixels once a scan; thousands would take hours."""
    num_scans, start = 0, 2
    while marker := _MARKER.search(content, start):
        kind, start = marker[0][1], marker.end()
        if kind == _END_OF_IMAGE:  # what follows, a film perhaps, is not decoded
            return
        num_scans += kind == _START_OF_SCAN
        if num_scans > MAX_JPEG_SCANS:
            raise UnusableImage(f"too slow: a JPEG of more than {MAX_JPEG_SCANS} scans")
        start += int.from_bytes(content[start : start + 2], "big")


def check_png_checksums(content: bytes) -> None:
    """Pillow does not look at the checksums of the chunks that hold the pixels; this does."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return
    start = 8
    while start + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, start)
        kind, end = content[start + 4 : start + 8], start + 8 + length
        if kind == b"IDAT" and end + 4 <= len(content):
            (expected,) = struct.unpack_from(">I", content, end)
            if zlib.crc32(memoryview(content)[start + 4 : end]) != expected:
                raise UnusableImage("damaged: a checksum of the PNG's pixels does not match")
        start = end + 4
