"""Pictures for the tests, different for every seed."""

import io
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, features

from data.cache import Decoding
from data.images import Data
from data.load import Split, load_folder

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
AVIF = ["AVIF"] if features.check("avif") else []


def scene(seed: int, width: int = 96, height: int = 64) -> Image.Image:
    """Draw smooth random blotches, which compress like a photograph."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, file_format: str = "JPEG", **options: Any) -> bytes:
    """Return the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def other_profile() -> bytes:
    """Return an ICC profile: sRGB with red and green exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = profile.replace(b"rXYZ", b"temp", 1).replace(b"gXYZ", b"rXYZ", 1)
    exchanged = exchanged.replace(b"temp", b"gXYZ", 1)
    return exchanged.replace("sRGB".encode("utf-16-be"), "sGRB".encode("utf-16-be"))


ORIENTATION = 0x0112  # tag of EXIF
TURNED = Image.Exif()
TURNED[ORIENTATION] = 6
FILM: dict[str, Any] = {"save_all": True, "append_images": [scene(107), scene(109)]}
ODD_FILES = {  # for each kind of oddity, a name and the content
    "turned": ("turned.jpg", encoded(scene(100), exif=TURNED, progressive=True)),
    "CMYK": ("cmyk.jpg", encoded(scene(101).convert("CMYK"))),
    "colour profile": ("profile.jpg", encoded(scene(102), icc_profile=other_profile())),
    "palette": ("palette.png", encoded(scene(103).convert("P"), "PNG")),
    "transparency": ("alpha.png", encoded(scene(104).convert("RGBA"), "PNG")),
    "16-bit": ("deep.png", encoded(scene(105).convert("L").convert("I;16"), "PNG")),
    "animated": ("film.webp", encoded(scene(106), "WEBP", **FILM)),
    "wrong extension": ("really_jpeg.png", encoded(scene(108))),
}


def make_folder(root: Path, counts: dict[str, int], first_seed: int = 0) -> Path:
    """Make root/CLASS/NUMBER.jpg, no two alike."""
    for name in counts:
        (root / name).mkdir(parents=True, exist_ok=True)
    names = [f"{name}/{number:03}.jpg" for name, count in counts.items() for number in range(count)]
    return make_files(root, names, first_seed)


def make_files(root: Path, names: Iterable[str], first_seed: int = 0) -> Path:
    """Make pictures of these names, no two alike; files with "bad" in their name are empty."""
    for seed, name in enumerate(names, first_seed):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"" if "bad" in name else encoded(scene(seed)))
    return root


def load(root, cache_dir=None, group=None, **split) -> Data:
    """Load a folder at 16 pixels, with an empty cache if `cache_dir` is None."""
    arguments = Split(**{"val_fraction": 0.25, "seed": 0, **split})
    with tempfile.TemporaryDirectory() as empty:  # what is mapped stays readable
        decoding = Decoding(empty if cache_dir is None else cache_dir)
        return load_folder(root, 16, arguments, decoding, group)


def assert_same(one: Data, other: Data) -> None:
    """Assert that two data sets are equal in all but the names of the files."""
    assert one.fingerprint == other.fingerprint
    for a, b in ((one.train, other.train), (one.val, other.val)):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)
