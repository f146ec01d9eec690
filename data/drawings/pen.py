"""A pen that draws smooth shapes in movable, turnable and scalable coordinates."""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Color = tuple[int, ...]  # red, green, blue, perhaps opacity
Points = npt.ArrayLike  # (n, 2) rows of x, y
Array = npt.NDArray[np.float64]

INK: Color = (34, 26, 28)  # darkens outlines, and limbs on the far side
CIRCLE = np.exp(1j * np.linspace(0, 2 * np.pi, 28))[:, None].view(float)  # (28, 2)
# The weights of four points, in six steps along the Catmull-Rom curve of the middle two.
CUBIC = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
WEIGHTS = (np.arange(6)[:, None] / 6) ** np.arange(4) @ CUBIC


@lru_cache(4096)  # outlines use the same colours many times
def mix(a: Color, b: Color, share: float) -> Color:
    """Return the colour between a (share 0) and b (share 1)."""
    return tuple([round(x + (y - x) * share) for x, y in zip(a, b, strict=True)])


def mirrored(half: Points) -> Array:
    """Close the right half of an outline, from top to bottom at x = 0, with its mirror image."""
    right = np.asarray(half, dtype=float)
    return np.concatenate([right, right[-2:0:-1] * [-1, 1]])


def _curve(knots: Array) -> Array:
    """Return the smooth curve through all (n, D) knots but the first and the last."""
    neighbours = knots[np.arange(len(knots) - 3)[:, None] + np.arange(4)]  # (n - 3, 4, D)
    return np.concatenate([(WEIGHTS @ neighbours).reshape(-1, knots.shape[1]), knots[-2:-1]])


class Pen:
    """A tool that draws on an image in its own coordinates: x to the right, y down.

    `on` returns a pen for a whole picture: its unit is the height of the picture, its origin the
    upper left corner. `at` returns a pen with the coordinates of a part.
    """

    def __init__(self, canvas: ImageDraw.ImageDraw, axes: Array, origin: Array) -> None:
        self._canvas = canvas
        self._axes = axes  # rows: one step along x and along y, in pixels
        self._origin = origin  # pixels

    @classmethod
    def on(cls, image: Image.Image, mode: str = "RGB") -> "Pen":
        return cls(ImageDraw.Draw(image, mode), np.eye(2) * image.height, np.zeros(2))

    def at(self, x: float, y: float, wide: float = 1, high: float = 1, angle: float = 0) -> "Pen":
        """Return a pen at (x, y), scaled, then turned clockwise by `angle` degrees."""
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        turn = np.array([[cos * wide, sin * wide], [-sin * high, cos * high], [x, y]]) @ self._axes
        return Pen(self._canvas, turn[:2], self._origin + turn[2])

    def polygon(self, points: Points, color: Color, outline: bool = True) -> None:
        """Fill the polygon; the outline is darker and goes from the first point to the last."""
        pixels = (np.asarray(points, dtype=float) @ self._axes + self._origin).ravel().tolist()
        self._canvas.polygon(pixels, fill=color)
        if outline:
            self._canvas.line(pixels, fill=mix(color, INK, 0.45), width=2)

    def ellipse(
        self, x: float, y: float, wide: float, high: float, color: Color, outline: bool = False
    ) -> None:
        """Fill the ellipse around (x, y); `wide` and `high` are its radii."""
        self.polygon(CIRCLE * np.array([wide, high]) + np.array([x, y]), color, outline)

    def blob(self, points: Points, color: Color, outline: bool = True) -> None:
        """Fill the smooth closed curve through the points; a point given twice is a corner."""
        knots = np.asarray(points, dtype=float)
        self.polygon(_curve(np.concatenate([knots[-1:], knots, knots[:2]])), color, outline)

    def ribbon(self, path: Points, color: Color, start: float = 0, outline: bool = True) -> None:
        """Fill a smooth ribbon such as a leg or a tail; its start has no outline.

        Args:
            path: rows of x, y and half the width there.
            start: share of the ribbon to leave out, for a tip in another colour.
        """
        knots = np.asarray(path, dtype=float)
        spine = _curve(np.concatenate([knots[:1], knots, knots[-1:]]))
        spine = spine[round(start * len(spine)) :]
        ends = np.concatenate([spine[:1], spine, spine[-1:]])[:, :2]
        forward = ends[2:] - ends[:-2]
        across = forward[:, ::-1] * [-1, 1] * spine[:, 2:] / np.hypot(*forward.T)[:, None]
        sides = np.concatenate([spine[:, :2] + across, (spine[:, :2] - across)[::-1]])
        self.polygon(sides, color, outline)
