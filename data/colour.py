"""Conversion of the colours in a file to sRGB with 8 bits per sample."""

import io
from contextlib import suppress
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from data.images import UnusableImage

BACKGROUND = (255, 255, 255)  # behind transparent parts: white, as in a browser
SRGB = ImageCms.createProfile("sRGB")
MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # colour space of a profile: Pillow's mode
# The modes of profiles that fit the mode of a picture; ("RGB",) for all others.
FITTING = {"CMYK": ("CMYK",), **dict.fromkeys(("1", "L", "LA", "I", "I;16", "I;16B"), ("L", "RGB"))}
SAME = 3  # levels of 255; a profile that changes no colour by more counts as sRGB


def to_rgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """Convert to sRGB; return also whether a colour profile changed the colours.

    16 bits are scaled (not clipped), and transparent parts show `BACKGROUND`. A profile that is
    damaged, or of another kind than the picture, is ignored.
    """
    # in a PNG or PGM, mode I has 16 bits
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise UnusableImage("32-bit or floating-point pixels have no range: convert to 8 bits")
    profile, fitting = image.info.get("icc_profile"), FITTING.get(image.mode, ("RGB",))
    if image.mode.startswith("I"):
        samples, key = np.asarray(image), image.info.get("transparency")
        # 65535 = 255 * 257, so full white stays full white. `image.convert("L")` would clip at 255.
        eight_bit = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
        if isinstance(key, int):  # the grey value that is transparent
            eight_bit[samples == key] = BACKGROUND[0]
        image = Image.fromarray(eight_bit)
    elif image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.new("RGB", image.size, BACKGROUND)
        image.paste(rgba, mask=rgba.getchannel("A"))
    with suppress(ImageCms.PyCMSError, OSError, TypeError, ValueError, KeyError):
        transform = _to_srgb(profile) if profile else None
        if transform and transform.input_mode in fitting:
            return transform.apply(image.convert(transform.input_mode)), True
    return image.convert("RGB"), False


@lru_cache(maxsize=16)  # pictures of one camera share a profile
def _to_srgb(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB; None if the profile is sRGB."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = MODES[source.profile.xcolor_space]
    transform = ImageCms.buildTransform(source, SRGB, mode, "RGB")
    steps = np.linspace(0, 255, 6, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(6, 36, 3)
    colours = Image.fromarray(cube).convert(mode)
    found = np.asarray(transform.apply(colours)).astype(int)
    is_srgb = mode != "CMYK" and abs(found - np.asarray(colours.convert("RGB"))).max() <= SAME
    return None if is_srgb else transform
