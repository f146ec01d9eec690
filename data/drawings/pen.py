"""A pen that draws smooth shapes in coordinates that can be moved, turned, scaled and mirrored."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Points = npt.ArrayLike  # (n, 2) rows of x, y

INK: Color = (34, 26, 28)  # darkens outlines, and limbs on the far side
BLACK: Color = (28, 24, 26)
WHITE: Color = (244, 240, 232)
STEPS = 6  # straight pieces between two points of a curve: smooth enough on the canvas
OUTLINE_WIDTH = 2  # canvas pixels


def mix(a: Color, b: Color, share: float) -> Color:
    """The colour between a (share 0) and b (share 1)."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def mirrored(half: Points) -> npt.NDArray[np.float64]:
    """Close the right half of an outline, from its top to its bottom at x = 0, by mirroring it."""
    right = np.asarray(half, dtype=float)
    return np.concatenate([right, right[-2:0:-1] * [-1, 1]])


def _catmull_rom() -> npt.NDArray[np.float64]:
    """Weights of four neighbouring points along the piece of curve between the middle two."""
    t = np.arange(STEPS)[:, None] / STEPS
    cubic = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    return np.asarray(t ** np.arange(4) @ cubic)  # (STEPS, 4)


_WEIGHTS = _catmull_rom()
_ANGLES = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def _curve(neighbours: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, 4, D) points with their neighbours -> (n * STEPS, D) points of the curve."""
    return (_WEIGHTS @ neighbours).reshape(-1, neighbours.shape[-1])


class Pen:
    """Draws on an image in its own coordinates: x to the right, y down.

    A pen made with `on` has the picture's height as its unit and the upper left corner as its
    origin; `at` gives a pen for a part, whose coordinates are then the part's own.
    """

    def __init__(
        self,
        canvas: ImageDraw.ImageDraw,
        axes: npt.NDArray[np.float64],
        origin: npt.NDArray[np.float64],
    ) -> None:
        self._canvas = canvas
        self._axes = axes  # (2, 2) rows: where one step along x and along y leads, in pixels
        self._origin = origin  # (2,) pixels

    @classmethod
    def on(cls, image: Image.Image, mode: str = "RGB") -> Pen:
        """A pen for the whole picture; with the mode "RGBA" colours may have an opacity."""
        return cls(ImageDraw.Draw(image, mode), np.eye(2) * image.height, np.zeros(2))

    def at(
        self, x: float, y: float, scale: float = 1, angle: float = 0, mirror: bool = False
    ) -> Pen:
        """A pen with its origin at (x, y), turned clockwise by `angle` degrees."""
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        turn = scale * np.array([[cos, sin], [-sin, cos]])
        if mirror:
            turn[0] *= -1
        return Pen(self._canvas, turn @ self._axes, self._origin + np.array([x, y]) @ self._axes)

    def polygon(
        self, points: Points, color: tuple[int, ...], outline: bool = True, closed: bool = True
    ) -> None:
        """Fill the polygon; the outline is a darker tone of its colour.

        Args:
            closed: whether the outline runs from the last point to the first, too.
        """
        pixels = (np.asarray(points, dtype=float) @ self._axes + self._origin).ravel().tolist()
        self._canvas.polygon(pixels, fill=color)
        if outline:
            line = mix((color[0], color[1], color[2]), INK, 0.45)
            around = pixels + pixels[:2] if closed else pixels
            self._canvas.line(around, fill=line, width=OUTLINE_WIDTH)

    def blob(self, points: Points, color: tuple[int, ...], outline: bool = True) -> None:
        """Fill the smooth closed curve through the points; a point given twice is a corner."""
        knots = np.asarray(points, dtype=float)
        around = (np.arange(len(knots))[:, None] + np.arange(-1, 3)) % len(knots)  # (n, 4)
        self.polygon(_curve(knots[around]), color, outline)

    def ellipse(
        self,
        x: float,
        y: float,
        radius_x: float,
        radius_y: float,
        color: tuple[int, ...],
        outline: bool = False,
    ) -> None:
        self.polygon(_CIRCLE * [radius_x, radius_y] + [x, y], color, outline)

    def ribbon(
        self, path: Points, color: tuple[int, ...], start: float = 0, outline: bool = True
    ) -> None:
        """Fill a smooth ribbon, as a leg or a tail is; no outline parts its start from the body.

        Args:
            path: rows of x, y and half the width there.
            start: the share of the ribbon that is left out, for a tip in another colour.
        """
        knots = np.asarray(path, dtype=float)
        pieces = len(knots) - 1
        along = np.arange(pieces)[:, None] + np.arange(-1, 3)  # (n - 1, 4)
        spine = _curve(knots[along.clip(0, pieces)])
        spine = np.concatenate([spine, knots[-1:]])[round(start * pieces * STEPS) :]
        forward = np.gradient(spine[:, :2], axis=0)
        forward /= np.hypot(forward[:, :1], forward[:, 1:])
        across = forward[:, ::-1] * [-1, 1] * spine[:, 2:]
        sides = np.concatenate([spine[:, :2] + across, (spine[:, :2] - across)[::-1]])
        self.polygon(sides, color, outline, closed=False)
