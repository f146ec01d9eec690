"""From whatever Pillow opened to an upright RGB picture of 8 bits a channel."""

import numpy as np
from PIL import Image

from data.reading import UnusableImage

BACKGROUND = (255, 255, 255)  # transparent parts show white paper, as in a browser
_EXIF_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 where the EXIF block is missing or rubbish."""
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # the parser fails in as many ways as files are damaged; pixels may be fine
        return 1
    return value if value in _TURNS else 1


def turn(image: Image.Image, exif_orientation: int) -> Image.Image:
    """The picture as it was meant to be seen."""
    if exif_orientation == 1:
        return image
    return image.transpose(_TURNS[exif_orientation])


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB of 8 bits: 16 bits scaled (not clipped), transparency laid on `BACKGROUND`.

    Raises:
        UnusableImage: for samples without an agreed range (floating point, 32-bit integers).
    """
    if image.mode == "F":
        raise UnusableImage("floating-point pixels have no agreed range: convert it to 8 bits")
    if image.mode.startswith("I"):
        return _from_16_bit(image).convert("RGB")
    if image.has_transparency_data:
        return _on_background(image)
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    samples = np.asarray(image)
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 65535:
        raise UnusableImage("32-bit integer pixels have no agreed range: convert it to 8 bits")
    # 65535 = 255 * 257, so full white stays full white. `image.convert("L")` would clip at 255.
    eight_bit = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    key = image.info.get("transparency")
    if isinstance(key, int):  # the one grey value that means "see through"
        eight_bit[samples == key] = BACKGROUND[0]
    return Image.fromarray(eight_bit)


def _on_background(image: Image.Image) -> Image.Image:
    paper = Image.new("RGB", image.size, BACKGROUND)
    rgba = image.convert("RGBA")
    paper.paste(rgba, mask=rgba.getchannel("A"))
    return paper
