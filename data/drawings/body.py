"""Whole animals: a body in one of five poses, with a head.

Bodies look to the right, are about one unit long and stand on the line y = 0.
"""

# fmt: off
# Outlines are listed with several points per line; one per line would hide the shape.

import math
from typing import NamedTuple

import numpy as np

from data.drawings.head import draw_face, draw_profile
from data.drawings.pen import INK, Array, Color, Pen, Points, mirrored, mix
from data.drawings.species import WHITE, Look

# Legs: x, y and half the width, from the body to the paw; y in units of the length of the leg.
FORE = np.array([(0, -1.2, 0.085), (0, -0.55, 0.055), (0, -0.07, 0.042)])
HIND = np.array([(0, -1.25, 0.12), (0.02, -0.75, 0.085), (-0.07, -0.4, 0.048), (0, -0.07, 0.042)])
LAID = np.array([(-0.4, -0.5, 0.08), (-0.22, -0.3, 0.055), (0, -0.22, 0.045)])
# Tails: x, y and half the width, from the body to the left.
TAILS = {
    "dog": [(0.06, 0.04, 0.07), (-0.12, -0.06, 0.065), (-0.24, -0.24, 0.06), (-0.16, -0.42, 0.055),
            (0, -0.42, 0.045), (0.02, -0.3, 0.02)],
    "fox": [(0.06, 0, 0.05), (-0.16, -0.01, 0.1), (-0.42, -0.05, 0.15), (-0.64, -0.16, 0.12),
            (-0.82, -0.3, 0.01)],
    "wolf": [(0.06, 0.02, 0.05), (-0.15, 0.03, 0.075), (-0.4, 0.03, 0.075), (-0.64, 0.04, 0.02)],
}
HANGING = {"dog": 0, "fox": -20, "wolf": -55}  # angle of the tail of a standing animal in degrees


class Pose(NamedTuple):
    """The positions of the parts of a body; y in trunk heights, from the trunk's lower edge."""

    room: tuple[float, float, float]  # left, right and height in body lengths; sets the scale
    ground: tuple[float, float]  # range of y of the feet in the picture
    tall: tuple[float, float, float]  # height of the trunk: constant + leg + depth
    trunk: Points
    joints: Array  # rows: the positions of tail, neck and head
    ellipses: dict[str, tuple[float, float, float, float]]  # x, y and the radii
    near: list[tuple[Array, float]]  # the shape of each leg, and x of its paw
    far: list[tuple[Array, float]]
    turned: float = 0.5  # share of the heads that are in profile


STANDING = Pose(
    (-0.75, 1.0, 1.4), (0.8, 0.96), tall=(0, 0, 1),
    trunk=[(-0.36, -0.97), (0, -0.9), (0.28, -1.08), (0.47, -0.74), (0.48, -0.32), (0.34, 0.08),
           (0.05, -0.05), (-0.25, -0.18), (-0.46, -0.21), (-0.5, -0.68)],
    joints=np.array([(-0.46, -0.74), (0.3, -0.7), (0.64, -1)]),
    ellipses={"saddle": (-0.08, -0.75, 0.32, 0.12), "pale": (0.2, -0.15, 0.26, 0.12)},
    near=[(FORE, 0.33), (HIND, -0.38)], far=[(FORE, 0.34), (HIND, -0.3)],
)
SITTING = Pose(
    (-0.8, 0.55, 1.6), (0.86, 0.97), tall=(0.62, 0.5, 0),
    trunk=[(-0.38, -0.32), (-0.22, -0.68), (0.02, -1), (0.2, -0.96), (0.3, -0.62), (0.2, -0.25),
           (0, -0.02), (-0.34, -0.05)],
    joints=np.array([(-0.3, -0.1), (0.1, -0.8), (0.2, -1)]),
    ellipses={"saddle": (-0.12, -0.62, 0.1, 0.22), "pale": (0.21, -0.64, 0.07, 0.26),
              "haunch": (-0.14, -0.25, 0.21, 0.23), "paw": (0, -0.06, 0.14, 0.06)},
    near=[(FORE, 0.2)], far=[(FORE, 0.28)],
)
FACING_US = Pose(
    (-0.65, 0.55, 1.6), (0.86, 0.97), tall=(0.62, 0.5, 0),
    trunk=mirrored([(0, -1), (0.18, -0.95), (0.27, -0.5), (0.38, -0.22), (0.3, -0.02), (0, -0.02)]),
    joints=np.array([(-0.2, -0.1), (0, -0.92), (0, -0.95)]),
    ellipses={"pale": (0, -0.65, 0.13, 0.3), "paw": (-0.3, -0.06, 0.13, 0.06),
              "other paw": (0.27, -0.06, 0.13, 0.06)},
    near=[(FORE, -0.11), (FORE, 0.11)], far=[], turned=0,
)
PORTRAIT = FACING_US._replace(room=(-0.45, 0.45, 0.85), ground=(1.4, 1.52), turned=0.45)
LYING = Pose(
    (-0.75, 0.9, 1.05), (0.8, 0.95), tall=(0.1, 0, 1),
    trunk=[(-0.34, -0.95), (0, -0.92), (0.28, -1.2), (0.46, -0.7), (0.4, -0.06), (0, 0),
           (-0.52, -0.08), (-0.54, -0.6)],
    joints=np.array([(-0.46, -0.2), (0.28, -0.8), (0.47, -1.1)]),
    ellipses={"saddle": (-0.08, -0.76, 0.28, 0.13), "pale": (0.36, -0.6, 0.07, 0.35),
              "haunch": (-0.3, -0.42, 0.21, 0.38), "paw": (-0.17, -0.1, 0.15, 0.1)},
    near=[(LAID, 0.62)], far=[(LAID, 0.72)],
)
POSES = [STANDING, SITTING, FACING_US, PORTRAIT, LYING]


def draw_animal(pen: Pen, look: Look, pose: Pose, rng: np.random.Generator) -> None:
    """Draw an animal from back to front."""
    wide, tall = 0.8 + look.depth * 0.6, np.dot(pose.tall, [1, look.leg, look.depth])
    leg, lift, stride, turn = tall * 0.42, 0.0, 0.0, rng.uniform(-8, 18)
    if pose is STANDING:
        leg, lift, stride = look.leg, look.leg, rng.uniform(-0.1, 0.1)
        turn += HANGING[look.species]
    tail, neck, head = pose.joints * [wide, tall] - [0, lift]
    head = head + [rng.uniform(-0.05, 0.05), -0.8 * look.head_height]
    brush, outline = pen.at(tail[0], tail[1], angle=turn), TAILS[look.species]
    brush.ribbon(outline, look.coat)
    if look.species != "dog":
        tip = look.dark if look.species == "wolf" else mix(look.pale, WHITE, 0.7)
        brush.ribbon(outline, tip, start=0.7)
    for limb, x in pose.far:
        _draw_leg(pen.at(x, 0), look, mix(look.coat, INK, 0.3), limb * [1, leg, 1], -stride)
    body = pen.at(0, -lift, wide, tall)
    body.blob(pose.trunk, look.coat)
    _draw_neck(pen, look, neck, head)
    colors = {"pale": look.pale, "saddle": mix(look.coat, look.dark, 0.7)}
    for name, ellipse in pose.ellipses.items():
        if name != "saddle" or look.saddle > 0.7:
            body.ellipse(*ellipse, colors.get(name, look.coat), outline=name not in colors)
    for limb, x in pose.near:
        _draw_leg(pen.at(x, 0), look, look.coat, limb * [1, leg, 1], stride)
    draw_head = draw_profile if rng.random() < pose.turned else draw_face
    size = rng.uniform(0.52, 0.64)
    draw_head(pen.at(head[0], head[1], size, size, rng.uniform(-14, 14)), look)


def _draw_leg(pen: Pen, look: Look, color: Color, limb: Array, stride: float) -> None:
    limb[:, 0] += stride * np.linspace(0, 1, len(limb))
    pen.ribbon(limb, color)
    if look.socks:
        color = mix(color, look.dark, 0.9)
        pen.ribbon(limb, color, start=1 - look.socks * 0.75)
    pen.ellipse(stride + 0.03, -0.03, 0.075, 0.038, color, outline=True)


def _draw_neck(pen: Pen, look: Look, base: Array, head: Array) -> None:
    """Draw the neck, with the collar and its golden tag if there is one."""
    x, y = head - base
    wide = 0.08 + 0.2 * look.depth
    half = math.hypot(x, y) / wide / 2
    turn = math.degrees(math.atan2(x, -y))
    neck = pen.at(base[0] + x / 2, base[1] + y / 2, wide, wide, turn)
    neck.ribbon([(0, half, 1.3), (0, 0, 1.05), (0, -half, 0.9)], look.coat, outline=False)
    if look.collar:
        neck.ribbon([(-1.1, -0.1, 0.16), (0, 0.2, 0.16), (1.1, -0.1, 0.16)], look.collar)
        neck.ellipse(0.2, 0.5, 0.2, 0.2, (238, 200, 80), outline=True)
