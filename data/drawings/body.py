"""Whole animals and portraits: a body in a pose, with a head upon it.

Bodies look to the right, are about one unit long and stand on the line y = 0.
"""

# fmt: off
# Outlines are listed with several points a line; one a line would hide the shape.

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.drawings.face import draw_face
from data.drawings.pen import INK, WHITE, Color, Pen, Points, mirrored, mix
from data.drawings.profile import draw_profile
from data.drawings.species import Look


def standing(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """From the side, on four legs."""
    leg, depth = look.leg, look.depth
    back, belly = -leg - depth, -leg
    step = rng.uniform(-0.1, 0.1)
    far = mix(look.coat, INK, 0.3)
    _leg(pen, look, far, 0.34, belly - 0.06, 0.34 - step)
    _hind_leg(pen, look, far, -0.3, belly - 0.08, -0.3 + step)
    _tail(pen.at(-0.46, back + 0.1), look, rng, resting=False)
    trunk = [(-0.5, back + 0.12), (-0.36, back + 0.01), (0, back + 0.04), (0.28, back - 0.03),
             (0.47, back + 0.1), (0.48, belly - 0.12), (0.34, belly + 0.03), (0.05, belly - 0.02),
             (-0.25, belly - 0.07), (-0.46, belly - 0.08)]
    pen.blob(trunk, look.coat)
    _belly(pen, look, back, belly)
    _saddle(pen, look, [(-0.44, back + 0.1), (-0.3, back + 0.03), (0, back + 0.06), (0.28, back),
                        (0.24, back + 0.13), (0, back + 0.15), (-0.3, back + 0.12)])
    _leg(pen, look, look.coat, 0.33, belly - 0.1, 0.33 + step)
    _hind_leg(pen, look, look.coat, -0.38, belly - 0.12, -0.38 - step)
    head_at = (rng.uniform(0.6, 0.68), back - look.head_height * 0.8)
    _neck(pen, look, (0.3, back + 0.13), head_at)
    _head(pen.at(*head_at, scale=rng.uniform(0.5, 0.62), angle=rng.uniform(-15, 15)), look, rng)


def sitting(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """From the side, on its haunches."""
    up = 0.62 + look.leg * 0.5  # how high the shoulders are
    wide = 0.8 + look.depth * 0.6
    _tail(pen.at(-0.3, -0.08), look, rng, resting=True)
    _leg(pen, look, mix(look.coat, INK, 0.3), 0.24, -up * 0.5, 0.3)
    trunk = [(-0.34 * wide, -0.04), (-0.38 * wide, -0.26), (-0.22 * wide, -up * 0.68),
             (0.02, -up), (0.2, -up * 0.96), (0.3, -up * 0.62), (0.2, -0.2), (0.0, -0.02)]
    pen.blob(trunk, look.coat)
    pen.blob([(0.2, -up * 0.9), (0.3, -up * 0.62), (0.24, -up * 0.34), (0.14, -up * 0.6)],
             look.pale, outline=False)
    _saddle(pen, look, [(-0.35 * wide, -0.28), (-0.21 * wide, -up * 0.66), (0.02, -up * 0.96),
                        (0.05, -up * 0.8), (-0.12 * wide, -up * 0.5), (-0.26 * wide, -0.24)])
    _leg(pen, look, look.coat, 0.17, -up * 0.55, 0.2)
    pen.ellipse(-0.14, -0.2, 0.21, 0.19, look.coat, outline=True)
    pen.ellipse(0.0, -0.04, 0.15, 0.045, mix(look.coat, look.dark, look.socks), outline=True)
    head_at = (rng.uniform(0.16, 0.24), -up - rng.uniform(0.14, 0.22))
    _neck(pen, look, (0.1, -up * 0.8), head_at)
    _head(pen.at(*head_at, scale=rng.uniform(0.54, 0.66), angle=rng.uniform(-15, 15)), look, rng)


def sitting_up_front(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Sitting and facing us."""
    up = 0.6 + look.leg * 0.5
    wide = 0.7 + look.depth * 0.7
    _tail(pen.at(-0.2, -0.1), look, rng, resting=True)
    half = [(0, -up), (0.18 * wide, -up * 0.95), (0.27 * wide, -up * 0.5), (0.38 * wide, -0.18),
            (0.3 * wide, -0.02), (0, -0.02)]
    pen.blob(mirrored(half), look.coat)
    chest = [(0, -up), (0.13, -up * 0.85), (0.12, -up * 0.45), (0, -up * 0.3)]
    pen.blob(mirrored(chest), look.pale, outline=False)
    for x in (-0.1, 0.1):
        _leg(pen, look, look.coat, x, -up * 0.5, x * 1.1)
    for x in (-0.3, 0.3):
        foot = mix(look.coat, look.dark, look.socks)
        pen.ellipse(x * wide, -0.05, 0.12, 0.06, foot, outline=True)
    _collar(pen.at(0, -up * 0.96), look, 0.19)
    face = pen.at(0, -up - 0.14, rng.uniform(0.56, 0.66), angle=rng.uniform(-16, 16))
    draw_face(face, look)


def lying(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """On its belly, the forelegs stretched out."""
    high = look.depth + 0.1
    _tail(pen.at(-0.46, -0.1), look, rng, resting=True)
    paw = mix(look.coat, look.dark, 0.9 if look.socks else 0)
    pen.ribbon([(0.2, -0.12, 0.08), (0.45, -0.07, 0.05), (0.74, -0.07, 0.045)], mix(paw, INK, 0.25))
    trunk = [(-0.52, -0.04), (-0.54, -high * 0.6), (-0.34, -high * 0.95), (0, -high * 0.92),
             (0.28, -high * 1.2), (0.46, -high * 0.7), (0.4, -0.03), (0, 0)]
    pen.blob(trunk, look.coat)
    pen.blob([(0.3, -high), (0.46, -high * 0.68), (0.4, -0.08), (0.28, -high * 0.5)], look.pale,
             outline=False)
    _saddle(pen, look, [(-0.51, -high * 0.6), (-0.33, -high * 0.9), (0, -high * 0.87),
                        (0.26, -high * 1.1), (0.26, -high * 0.8), (0, -high * 0.68),
                        (-0.3, -high * 0.7)])
    pen.ellipse(-0.3, -high * 0.42, 0.21, high * 0.38, look.coat, outline=True)
    pen.ellipse(-0.14, -0.035, 0.16, 0.045, paw, outline=True)
    pen.ribbon([(0.22, -0.1, 0.08), (0.4, -0.05, 0.055), (0.62, -0.045, 0.045)], look.coat)
    pen.ellipse(0.64, -0.045, 0.09, 0.047, paw, outline=True)
    head_at = (rng.uniform(0.42, 0.52), -high * 1.1 - rng.uniform(0.16, 0.24))
    _neck(pen, look, (0.28, -high * 0.8), head_at)
    _head(pen.at(*head_at, scale=rng.uniform(0.52, 0.62), angle=rng.uniform(-12, 15)), look, rng)


def portrait(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Head and shoulders; the unit is the head's height, y = 0 the lower edge of the shoulders."""
    half = [(0, -0.8), (0.3, -0.7), (0.5, -0.3), (0.72, 0.2), (0.72, 0.6), (0, 0.6)]
    turned = rng.random() < 0.45
    pen.blob(mirrored(half), look.coat)
    chest = [(0, -0.7), (0.22, -0.4), (0.26, 0.1), (0.16, 0.5), (0, 0.5)]
    pen.blob(mirrored(chest), look.pale, outline=False)
    _collar(pen.at(0, -0.42), look, 0.4)
    place = pen.at(-0.1 if turned else 0, -0.95, rng.uniform(0.95, 1.1), angle=rng.uniform(-12, 12))
    (draw_profile if turned else draw_face)(place, look)


@dataclass(frozen=True)
class Pose:
    """How to draw a pose, and the room it takes in its own unit, from x = left to x = right."""

    draw: Callable[[Pen, Look, np.random.Generator], None]
    left: float
    right: float
    height: float
    ground: tuple[float, float]  # where y = 0 may come to lie in the picture


POSES = [
    Pose(standing, -0.75, 1.0, 1.4, (0.8, 0.96)),
    Pose(sitting, -0.75, 0.55, 1.6, (0.86, 0.97)),
    Pose(sitting_up_front, -0.65, 0.55, 1.6, (0.86, 0.97)),
    Pose(lying, -0.7, 0.9, 1.05, (0.8, 0.95)),
    Pose(portrait, -0.75, 0.75, 1.85, (0.94, 1.08)),
]


def _head(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """From the side or turned to us, as it happens."""
    (draw_profile if rng.random() < 0.5 else draw_face)(pen, look)


def _leg(pen: Pen, look: Look, color: Color, x: float, top: float, foot_x: float) -> None:
    path = [(x, top, 0.085), (x + (foot_x - x) * 0.4, top * 0.5, 0.055), (foot_x, -0.03, 0.042)]
    pen.ribbon(path, color)
    _paw(pen, look, color, path, foot_x)


def _hind_leg(pen: Pen, look: Look, color: Color, x: float, top: float, foot_x: float) -> None:
    path = [(x, top, 0.12), (x + 0.02, top * 0.62, 0.085), (foot_x - 0.07, top * 0.34, 0.048),
            (foot_x, -0.03, 0.042)]
    pen.ribbon(path, color)
    _paw(pen, look, color, path, foot_x)


def _paw(pen: Pen, look: Look, color: Color, leg: Points, foot_x: float) -> None:
    if look.socks:
        color = mix(color, look.dark, 0.9)
        pen.ribbon(leg, color, start=1 - look.socks * 0.75)
    pen.ellipse(foot_x + 0.03, -0.03, 0.075, 0.038, color, outline=True)


def _belly(pen: Pen, look: Look, back: float, belly: float) -> None:
    pen.blob([(0.46, back + 0.14), (0.46, belly - 0.1), (0.33, belly + 0.01), (0, belly - 0.04),
              (-0.2, belly - 0.08), (0.1, belly - 0.1), (0.34, belly - 0.14)],
             look.pale, outline=False)


def _saddle(pen: Pen, look: Look, outline: Points) -> None:
    if look.saddle:
        pen.blob(outline, mix(look.coat, look.dark, 0.7), outline=False)


def _neck(pen: Pen, look: Look, base: tuple[float, float], head_at: tuple[float, float]) -> None:
    thick = 0.13 + 0.2 * (look.depth - 0.26)
    middle = ((base[0] + head_at[0]) / 2, (base[1] + head_at[1]) / 2)
    pen.ribbon([(*base, thick * 1.3), (*middle, thick * 1.05), (*head_at, thick * 0.9)], look.coat,
               outline=False)
    if look.collar:
        pen.ribbon([(middle[0] - 0.09, middle[1] - 0.09, 0.028), (*middle, 0.028),
                    (middle[0] + 0.11, middle[1] + 0.08, 0.028)], look.collar)


def _collar(pen: Pen, look: Look, wide: float) -> None:
    if look.collar:
        pen.ribbon([(-wide, 0, wide * 0.14), (0, wide * 0.22, wide * 0.14), (wide, 0, wide * 0.14)],
                   look.collar)
        pen.ellipse(0, wide * 0.42, wide * 0.16, wide * 0.16, (238, 200, 80), outline=True)


def _tail(pen: Pen, look: Look, rng: np.random.Generator, resting: bool) -> None:
    """A tail that starts at the pen's origin and leads to the left."""
    if look.tail == "curled":
        pen = pen.at(0, 0, rng.uniform(0.9, 1.15), angle=rng.uniform(-10, 25))
        path = [(0.06, 0.04, 0.07), (-0.12, -0.06, 0.065), (-0.24, -0.24, 0.06),
                (-0.16, -0.42, 0.055), (0.0, -0.42, 0.045), (0.02, -0.3, 0.02)]
        pen.ribbon(path, look.coat)
    elif look.tail == "bushy":
        pen = pen.at(0, 0, rng.uniform(0.9, 1.1), angle=rng.uniform(-5, 20) - 20 * (not resting))
        path = [(0.06, 0, 0.05), (-0.16, -0.01, 0.1), (-0.42, -0.05, 0.15), (-0.64, -0.16, 0.12),
                (-0.82, -0.3, 0.01)]
        pen.ribbon(path, look.coat)
        pen.ribbon(path, mix(look.pale, WHITE, 0.7), start=rng.uniform(0.6, 0.7))
    else:
        angle = rng.uniform(0, 8) if resting else rng.uniform(-70, -42)
        pen = pen.at(0, 0, rng.uniform(0.9, 1.1), angle)
        path = [(0.06, 0.02, 0.05), (-0.15, 0.03, 0.075), (-0.4, 0.03, 0.075), (-0.64, 0.04, 0.02)]
        pen.ribbon(path, look.coat)
        pen.ribbon(path, look.dark, start=0.75)
