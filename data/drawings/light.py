"""Light and grain: the same scene at noon, at dusk, in fog, and taken with a poor camera.

Both come after the scaling down: the same for any size, on fewer pixels.
"""

import numpy as np
from PIL import Image, ImageChops

Rng = np.random.Generator

# What red, green and blue are multiplied by.
TINTS = [(1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (1.08, 0.94, 0.78), (0.7, 0.74, 0.92), (0.9, 1.0, 1.06)]
GRAIN_SIZE = 64  # coarse, so that the grain is much the same at any size of the picture


def shine(image: Image.Image, rng: Rng) -> Image.Image:
    """Tint, brightness, contrast and a light from one side."""
    tint = np.array(TINTS[rng.integers(len(TINTS))]) * rng.uniform(0.95, 1.2)
    contrast, middle = rng.uniform(0.7, 1.2), rng.uniform(110, 150)
    levels = (np.arange(256) - middle) * contrast + middle
    table = np.clip(levels[None, :] * tint[:, None], 0, 255).astype(np.uint8)
    image = image.point(table.ravel().tolist())
    corners = rng.uniform(200, 255, (2, 2)).astype(np.uint8)
    fall = Image.fromarray(corners).resize(image.size, Image.Resampling.BILINEAR)
    return ImageChops.multiply(image, Image.merge("RGB", [fall] * 3))


def grain(image: Image.Image, rng: Rng) -> Image.Image:
    noise = rng.standard_normal((GRAIN_SIZE, GRAIN_SIZE), dtype=np.float32)
    levels = np.clip(noise * rng.uniform(0, 6) + 128, 0, 255).astype(np.uint8)
    sheet = Image.fromarray(levels).resize(image.size, Image.Resampling.BILINEAR)
    return ImageChops.add(image, Image.merge("RGB", [sheet] * 3), offset=-128)
