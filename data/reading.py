"""From a path to bytes, and words for bytes that are no picture."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_FILE_BYTES = (
    256 * 2**20
)  # the largest photographs are some 100 MB; a disk image is no photograph

# What people find in their folders in the place of a picture: how it starts, and what it is.
_IMPOSTORS = (
    (b"version https://git-lfs", "a git-lfs pointer, not the picture: run `git lfs pull`"),
    (b"<!doctype html", "not a picture but HTML: the download got a web page"),
    (b"<html", "not a picture but HTML: the download got a web page"),
    (b"<svg", "an SVG drawing, which has no pixels: export it as PNG"),
    (b"<?xml", "not a picture but XML"),
    (b"{", "not a picture but JSON or text"),
    (b"%!ps", "PostScript, which is a program: export it as PNG"),
    (b"%pdf", "a PDF document: export the page as PNG"),
    (b"pk\x03\x04", "a zip archive: unpack it"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"8bps", "a Photoshop document: export it as PNG"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")


class UnusableImage(ValueError):
    """This file cannot become pixels; the message is the reason in plain words.

    Args:
        reason: what is wrong and, where we know it, what to do; without the path.
        sha256: of the content (hex), where it could be read: the verdict holds for it.
    """

    def __init__(self, reason: str, sha256: str | None = None) -> None:
        super().__init__(reason)
        self.sha256 = sha256


def read_source(source: str | Path | bytes | bytearray | memoryview | BinaryIO) -> bytes:
    """The whole content of a path, of bytes or of an open binary file.

    It is read once and decoded from memory, so that the hash and the pixels come from the same
    bytes even if the file is replaced meanwhile.

    Raises:
        UnusableImage: unreadable, not a file, empty or larger than `MAX_FILE_BYTES`.
    """
    if isinstance(source, str | Path):
        content = _read_path(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        content = bytes(source)
    else:
        content = source.read(MAX_FILE_BYTES + 1)
    if not content:
        raise UnusableImage("empty: the file has no bytes")
    if len(content) > MAX_FILE_BYTES:
        raise UnusableImage(_too_many_bytes(len(content)))
    return content


def _read_path(path: str | Path) -> bytes:
    try:
        # A pipe without a writer would make a blocking open wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise UnusableImage(f"unreadable: {error.strerror}") from None
    except ValueError as error:  # a zero byte in the name
        raise UnusableImage(f"unreadable: {error}") from None
    try:
        return _read_regular_file(descriptor)
    except OSError as error:
        raise UnusableImage(f"unreadable: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _read_regular_file(descriptor: int) -> bytes:
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise UnusableImage("unreadable: a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise UnusableImage("unreadable: a pipe, socket or device, not a file")
    if status.st_size > MAX_FILE_BYTES:
        raise UnusableImage(_too_many_bytes(status.st_size))
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(MAX_FILE_BYTES + 1)


def _too_many_bytes(num_bytes: int) -> str:
    return f"too large: {num_bytes / 2**20:,.0f} MB, the limit is {MAX_FILE_BYTES / 2**20:,.0f} MB"


def describe_unknown(content: bytes) -> str:
    """Words for content that no decoder of ours recognises.

    Example:
        >>> describe_unknown(b"<html><body>404")
        'not a picture but HTML: the download got a web page'
    """
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for prefix, what in _IMPOSTORS:
        if start.startswith(prefix):
            return what
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS:
        return "HEIC, which Pillow cannot read: convert it to JPEG"
    if not content.strip(b"\0"):
        return "nothing but zero bytes: an interrupted download or a failing disk"
    for prefix, name in ((b"\xff\xd8", "JPEG"), (b"\x89PNG", "PNG"), (b"GIF8", "GIF")):
        if content.startswith(prefix):
            return f"damaged: it starts as {name} but its header makes no sense"
    return "unknown format: none of JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, PPM"
