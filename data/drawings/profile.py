"""A head in profile, looking to the right; its scale and origin are those of `face.py`."""

# fmt: off
# Outlines are listed with several points a line; one a line would hide the shape.

from typing import NamedTuple

from data.drawings.pen import BLACK, INK, WHITE, Color, Pen, mix
from data.drawings.species import Look


class Snout(NamedTuple):
    """The end of the muzzle."""

    x: float
    top: float  # y of its upper edge
    deep: float


def draw_profile(pen: Pen, look: Look) -> None:
    deep = 0.04 + look.muzzle
    snout = Snout(0.18 + look.muzzle_length, 0.15 - deep * 0.62, deep)
    if look.ears == "pointed":
        _pointed_ear(pen.at(0.16, -0.03), look, mix(look.coat, INK, 0.25))
    if look.ruff:
        _ruff(pen, look)
    _skull(pen, look, snout)
    _markings(pen, look, snout)
    _mouth_and_nose(pen, look, snout)
    _eye(pen, look)
    if look.ears == "pointed":
        _pointed_ear(pen, look, look.coat)
    elif look.ears == "floppy":
        _floppy_ear(pen, look)
    else:
        _folded_ear(pen, look)


def _ruff(pen: Pen, look: Look) -> None:
    fur = [(-0.1, -0.24), (-0.42, -0.2), (-0.38, -0.04), (-0.56, 0.04), (-0.42, 0.14),
           (-0.58, 0.3), (-0.4, 0.34), (-0.44, 0.56), (-0.24, 0.48), (-0.16, 0.66), (0.0, 0.48),
           (0.14, 0.56), (0.24, 0.2)]
    pen.polygon(fur, mix(look.coat, look.pale, 0.5))


def _skull(pen: Pen, look: Look, snout: Snout) -> None:
    x, top, deep = snout
    brow = 0.0 if look.head == "round" else 0.04  # how little the brow stands out
    pen.blob([(-0.36, 0.02), (-0.26, -0.26), (-0.02, -0.36), (0.16, -0.24), (0.26, -0.1 - brow),
              (x - 0.08, top - brow * 0.5), (x, top + deep * 0.4), (x - 0.05, top + deep),
              (0.26, 0.3), (0.0, 0.4), (-0.26, 0.34)], look.coat)


def _markings(pen: Pen, look: Look, snout: Snout) -> None:
    x, top, deep = snout
    chin, throat = (x - 0.07, top + deep * 0.95), (0.26, 0.28)
    if look.marking == "cheeks":
        pen.blob([chin, (x - 0.03, top + deep * 0.55), (0.3, 0.06), (0.1, 0.08), (-0.12, 0.16),
                  (-0.26, 0.32), (-0.02, 0.37), throat], look.pale, outline=False)
    elif look.marking == "mask":
        pen.blob([chin, (x - 0.03, top + deep * 0.7), (0.34, 0.12), (0.1, 0.12), (-0.1, 0.28),
                  (0.0, 0.38), throat], look.pale, outline=False)
        pen.ellipse(0.12, -0.2, 0.06, 0.035, look.pale)
    elif look.marking == "blaze":
        pen.blob([chin, (x - 0.05, top + 0.03), (0.24, 0.0), (0.2, 0.26)], look.pale, outline=False)
    elif look.marking == "patch":
        pen.ellipse(0.1, -0.08, 0.15, 0.15, look.dark)


def _mouth_and_nose(pen: Pen, look: Look, snout: Snout) -> None:
    x, top, deep = snout
    corner = 0.28 + 0.1 * look.muzzle_length
    pen.ribbon([(x - 0.04, top + deep * 0.7, 0.008), ((x + corner) / 2, top + deep * 0.82, 0.011),
                (corner, 0.17, 0.006)], BLACK, outline=False)
    size = 0.045 + 0.1 * look.muzzle
    pen.ellipse(x - size * 0.5, top + size * 0.35, size, size * 0.8, BLACK)


def _eye(pen: Pen, look: Look) -> None:
    if look.head == "round":
        pen.ellipse(0.12, -0.09, 0.062, 0.068, BLACK)
        pen.ellipse(0.14, -0.11, 0.022, 0.022, WHITE)
    else:
        pen.blob([(0.05, -0.08), (0.05, -0.08), (0.11, -0.15), (0.21, -0.06), (0.21, -0.06),
                  (0.13, -0.04)], look.eye)
        pen.ellipse(0.135, -0.09, 0.035, 0.042, BLACK)
        pen.ellipse(0.147, -0.108, 0.012, 0.012, WHITE)


def _pointed_ear(pen: Pen, look: Look, color: Color) -> None:
    wide, high = look.ear_width * 0.68, look.ear_height * 0.82
    path = [(-0.12, -0.16, wide), (-0.16, -0.24 - high * 0.4, wide * 0.72),
            (-0.2 - wide * 0.4, -0.24 - high, 0.01)]
    pen.ribbon(path, color)
    if look.ear_tip:
        pen.ribbon(path, look.dark, start=1 - look.ear_tip)


def _floppy_ear(pen: Pen, look: Look) -> None:
    low = look.ear_height * 0.85 - 0.4
    pen.blob([(-0.06, -0.32), (0.04, -0.12), (0.0, low), (-0.13, low + 0.1), (-0.3, low - 0.02),
              (-0.28, -0.12)], look.dark)


def _folded_ear(pen: Pen, look: Look) -> None:
    pen.blob([(-0.28, -0.24), (-0.22, -0.48), (-0.04, -0.54), (0.02, -0.28)], look.dark)
    pen.blob([(-0.2, -0.5), (0.0, -0.54), (0.14, -0.24), (0.14, -0.24), (-0.06, -0.3)],
             mix(look.dark, look.coat, 0.35))
