"""Pictures made by the tests: photographs in miniature, different for every seed."""

import io
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data.cache import Decoding
from data.decode import try_inspect
from data.images import Data
from data.load import Split, load_folder

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def scene(seed: int, width: int = 96, height: int = 64) -> Image.Image:
    """Smooth random blotches: compress like a photograph, and no two look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, file_format: str = "JPEG", **options: Any) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def decoded_here(paths, sizes, num_workers):
    """In the place of `decode_in_order`: in this process."""
    return (try_inspect(path, sizes) for path in paths)


def p3_profile() -> bytes:
    """A small ICC profile: the colours of Display P3 (for D50), gamma 2.2."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(2.2 * 256))
    tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\x03P3\0".ljust(96, b"\0"),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.51512, 0.2412, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": xyz(0.1571, 0.06657, 0.78407),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    head = struct.pack(">I4xI4s4s4s", start + len(body), 2 << 24, b"mntr", b"RGB ", b"XYZ ")
    head = head.ljust(36, b"\0") + b"acsp" + bytes(28) + xyz(0.9642, 1.0, 0.8249)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def make_folder(root: Path, counts: dict[str, int], first_seed: int = 0) -> Path:
    """root/CLASS/NUMBER.jpg, no two alike."""
    seed = first_seed
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (root / name / f"{number:03}.jpg").write_bytes(encoded(scene(seed)))
            seed += 1
    return root


def make_files(root: Path, names: Iterable[str]) -> Path:
    """Make pictures of these names, no two alike; "bad" ones are empty."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"" if "bad" in name else encoded(scene(number)))
    return root


def load(
    root: Path,
    cache_dir: Path | None = None,
    train_size: int = 16,
    on_bad: str = "skip",
    group: str | None = None,
    **split: Any,
) -> Data:
    """Load a folder in 16 pixels, without a cache where no folder for it is given."""
    arguments = Split(**{"val_fraction": 0.25, "seed": 0, **split})
    decoding = Decoding(cache_dir is not None, cache_dir)
    return load_folder(root, 16, arguments, train_size, on_bad, decoding, group)


def same(one: Data, other: Data) -> None:
    """Assert that two data sets are equal in all but the names of the files."""
    assert one.fingerprint == other.fingerprint
    for a, b in ((one.train, other.train), (one.val, other.val)):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)
