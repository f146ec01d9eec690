"""Heads, from the front and from the side. The origin is between the ears and the chin.

A head is about one unit high without its ears; from the side it looks to the right.
"""

# fmt: off
# Outlines are listed with several points a line; one a line would hide the shape.

from collections.abc import Callable

import numpy as np

from data.drawings.pen import INK, Color, Pen, mirrored, mix
from data.drawings.species import WHITE, Look

BLACK: Color = (28, 24, 26)
PINK: Color = (222, 120, 128)
INNER_EAR: Color = (214, 168, 152)


def front(pen: Pen, look: Look) -> None:
    """A face that looks at us."""
    if look.ruff:
        _ruff(pen, look)
    if look.ears == "pointed":
        _both(pen, look, _pointed_ear)
    _face(pen, look)
    _face_marking(pen, look)
    _front_muzzle(pen, look)
    _both(pen, look, _eye)
    if look.ears != "pointed":
        _both(pen, look, _floppy_ear if look.ears == "floppy" else _folded_ear)


def _both(pen: Pen, look: Look, part: Callable[[Pen, Look], None]) -> None:
    """Draw a part at the right, and its mirror image at the left."""
    part(pen, look)
    part(pen.at(0, 0, mirror=True), look)


def _ruff(pen: Pen, look: Look) -> None:
    """Ragged fur around the cheeks."""
    out = look.cheek
    half = [(0, -0.3), (out * 0.9, -0.16), (out * 1.12, 0.02), (out * 0.98, 0.06),
            (out * 1.2, 0.22), (out * 0.98, 0.24), (out * 1.08, 0.42), (out * 0.8, 0.4),
            (out * 0.7, 0.58), (out * 0.4, 0.52), (0, 0.66)]
    pen.polygon(mirrored(half), mix(look.coat, look.pale, 0.35))


def _face(pen: Pen, look: Look) -> None:
    out = look.cheek
    chin = look.muzzle
    if look.marking == "cheeks":  # a wedge, widest at the points of the cheeks
        half = [(0, -0.4), (0.3, -0.36), (0.48, -0.14), (out, 0.14), (out, 0.14),
                (0.42, 0.3), (chin + 0.06, 0.46), (chin * 0.6, 0.56), (0, 0.58)]
    elif look.marking == "mask":
        half = [(0, -0.42), (0.28, -0.38), (out * 0.82, -0.12), (out * 0.88, 0.14),
                (out * 0.72, 0.34), (chin + 0.06, 0.5), (chin * 0.7, 0.6), (0, 0.62)]
    else:
        half = [(0, -0.44), (0.32, -0.38), (out * 0.9, -0.1), (out, 0.16),
                (out * 0.84, 0.4), (chin, 0.52), (0, 0.58)]
    pen.blob(mirrored(half), look.coat)


def _face_marking(pen: Pen, look: Look) -> None:
    out = look.cheek
    chin = look.muzzle
    if look.marking == "cheeks":
        _both(pen, look, _white_cheek)
    elif look.marking == "mask":
        _both(pen, look, _wolf_cheek)
        dark = mix(look.coat, look.dark, 0.6)
        pen.blob([(0, -0.4), (0.16, -0.34), (0.07, -0.05), (0.1, 0.3), (-0.1, 0.3), (-0.07, -0.05),
                  (-0.16, -0.34)], dark, outline=False)
    elif look.marking == "blaze":
        half = [(0, -0.4), (0.08, -0.3), (0.08, 0), (chin, 0.3), (0, 0.5)]
        pen.blob(mirrored(half), look.pale, outline=False)
    elif look.marking == "patch":
        pen.ellipse(out * 0.44, -0.08, 0.2, 0.22, look.dark)


def _white_cheek(pen: Pen, look: Look) -> None:
    out = look.cheek
    cheek = [(0.03, 0.36), (0.14, 0.14), (0.34, 0.1), (out * 0.96, 0.15), (out * 0.96, 0.15),
             (0.4, 0.29), (look.muzzle + 0.04, 0.45), (look.muzzle * 0.5, 0.55), (0, 0.56)]
    pen.blob(cheek, look.pale, outline=False)


def _wolf_cheek(pen: Pen, look: Look) -> None:
    cheek = [(0.05, 0.3), (0.2, 0.14), (look.cheek * 0.8, 0.12), (look.cheek * 0.64, 0.34),
             (look.muzzle + 0.02, 0.5), (0, 0.6)]
    pen.blob(cheek, look.pale, outline=False)
    pen.ellipse(0.2, -0.2, 0.07, 0.045, look.pale)  # the pale brow


def _front_muzzle(pen: Pen, look: Look) -> None:
    wide = look.muzzle
    if look.marking in ("none", "blaze", "patch"):
        fur = mix(look.coat, look.pale, 0.75) if look.marking != "none" else look.pale
        pen.ellipse(0, 0.36, wide, 0.21, fur, outline=True)
        _smile(pen, look)
        nose_y, nose = 0.27, wide * 0.38
    else:
        nose_y, nose = 0.47, wide * 0.55
        if look.marking == "mask":
            half = [(0, 0.14), (wide * 0.7, 0.2), (wide, 0.44), (wide * 0.7, 0.6), (0, 0.63)]
            pen.blob(mirrored(half), mix(look.coat, look.pale, 0.6))
            nose_y = 0.44
    pen.ellipse(0, nose_y, nose, nose * 0.72, BLACK)
    pen.ellipse(-nose * 0.3, nose_y - nose * 0.25, nose * 0.25, nose * 0.16, (130, 126, 130))


def _smile(pen: Pen, look: Look) -> None:
    """Two arcs below the nose and, from a cheerful dog, the tongue."""
    wide = look.muzzle
    if look.tongue:
        pen.blob([(-0.08, 0.44), (0.08, 0.44), (0.07, 0.62), (0, 0.66), (-0.07, 0.62)], PINK)
    arcs = [(-wide * 0.62, 0.4), (-wide * 0.35, 0.46), (0, 0.4), (wide * 0.35, 0.46),
            (wide * 0.62, 0.4)]
    pen.ribbon([(*point, 0.014) for point in arcs], BLACK, outline=False)


def _eye(pen: Pen, look: Look) -> None:
    if look.ears == "pointed":
        slant = [(0.1, 0.03), (0.1, 0.03), (0.2, -0.075), (0.31, -0.08), (0.31, -0.08),
                 (0.23, 0.04)]
        pen.blob(slant, look.eye)
        pen.ellipse(0.205, -0.02, 0.045, 0.05, BLACK)
        pen.ellipse(0.19, -0.04, 0.015, 0.015, WHITE)
    else:
        pen.ellipse(0.23, -0.05, 0.085, 0.095, mix(look.eye, INK, 0.4))
        pen.ellipse(0.23, -0.05, 0.055, 0.065, BLACK)
        pen.ellipse(0.21, -0.08, 0.025, 0.025, WHITE)


def _pointed_ear(pen: Pen, look: Look) -> None:
    """The right ear: its back, its dark tip, its inside."""
    base, wide, high = 0.33, look.ear_width, look.ear_height
    tip = np.array([base + wide * 0.55, -0.26 - high])
    left, right = np.array([base - wide, -0.3]), np.array([base + wide, -0.12])
    pen.blob([tip, tip, (left * 0.62 + tip * 0.38) - [0.03, 0], left, right,
              (right * 0.6 + tip * 0.4) + [0.03, 0]], look.coat)
    inner = [tip * 0.7 + left * 0.3, left * 0.72 + right * 0.28, right * 0.8 + left * 0.2]
    pen.polygon(inner, mix(look.pale, INNER_EAR, 0.5), outline=False)
    if look.ear_tip:
        share = look.ear_tip
        pen.polygon([tip, tip + (left - tip) * share - [0.015, 0],
                     tip + (right - tip) * share + [0.015, 0]], look.dark)


def _floppy_ear(pen: Pen, look: Look) -> None:
    wide, high = look.ear_width, look.ear_height
    x = look.cheek
    ear = [(0.26, -0.4), (x * 0.9, -0.38), (x + wide * 0.8, -0.1), (x + wide * 0.7, high - 0.42),
           (x + wide * 0.1, high - 0.36), (x - wide * 0.25, 0.06)]
    pen.blob(ear, look.dark)


def _folded_ear(pen: Pen, look: Look) -> None:
    """An ear that stands and whose tip falls forward."""
    wide = look.ear_width
    pen.blob([(0.12, -0.36), (0.3, -0.62), (0.3 + wide, -0.58), (0.5, -0.2)], look.dark)
    pen.blob([(0.26, -0.6), (0.3 + wide * 1.1, -0.62), (0.36 + wide * 1.3, -0.22),
              (0.36 + wide * 1.3, -0.22), (0.34, -0.4)], mix(look.dark, look.coat, 0.35))


def side(pen: Pen, look: Look) -> None:
    """A head in profile, looking to the right."""
    if look.ears == "pointed":
        _side_pointed_ear(pen.at(0.16, -0.03), look, mix(look.coat, INK, 0.25))
    if look.ruff:
        _side_ruff(pen, look)
    nose = _profile(pen, look)
    _side_marking(pen, look, nose)
    _side_mouth(pen, look, nose)
    _side_eye(pen, look)
    if look.ears == "pointed":
        _side_pointed_ear(pen, look, look.coat)
    else:
        _side_soft_ear(pen, look)


def _side_ruff(pen: Pen, look: Look) -> None:
    fur = [(-0.1, -0.2), (-0.4, -0.1), (-0.36, 0.04), (-0.5, 0.12), (-0.4, 0.2), (-0.5, 0.34),
           (-0.36, 0.38), (-0.34, 0.54), (-0.2, 0.46), (-0.1, 0.58), (0.02, 0.42), (0.16, 0.46),
           (0.2, 0.2)]
    pen.polygon(fur, mix(look.coat, look.pale, 0.35))


def _profile(pen: Pen, look: Look) -> tuple[float, float, float]:
    """The outline of skull and muzzle; returns where the nose is and how deep the muzzle there."""
    x, deep = 0.18 + look.muzzle_length, 0.04 + look.muzzle
    top = 0.15 - deep * 0.62
    blunt = 0.04 if look.ears == "pointed" else 0.0  # a dog's brow ends in a step
    skull = [(-0.36, 0.02), (-0.26, -0.26), (-0.02, -0.36), (0.16, -0.24), (0.26, -0.1 - blunt),
             (x - 0.08, top - blunt * 0.5), (x, top + deep * 0.4), (x - 0.05, top + deep),
             (0.26, 0.3), (0.0, 0.4), (-0.26, 0.34)]
    pen.blob(skull, look.coat)
    return x, top, deep


def _side_marking(pen: Pen, look: Look, nose: tuple[float, float, float]) -> None:
    x, top, deep = nose
    jaw = [(x - 0.07, top + deep * 0.95), (0.26, 0.28)]
    if look.marking == "cheeks":
        cheek = [(x - 0.03, top + deep * 0.55), (0.3, 0.06), (0.1, 0.08), (-0.12, 0.16),
                 (-0.26, 0.32), (-0.02, 0.37)]
        pen.blob(jaw[:1] + cheek + jaw[1:], look.pale, outline=False)
    elif look.marking == "mask":
        cheek = [(x - 0.03, top + deep * 0.7), (0.34, 0.12), (0.1, 0.12), (-0.1, 0.28), (0.0, 0.38)]
        pen.blob(jaw[:1] + cheek + jaw[1:], look.pale, outline=False)
        pen.ellipse(0.12, -0.2, 0.06, 0.035, look.pale)
    elif look.marking == "blaze":
        pen.blob([(x - 0.05, top + 0.03), (0.24, 0.0), (0.2, 0.26), *jaw[:1]], look.pale,
                 outline=False)
    elif look.marking == "patch":
        pen.ellipse(0.1, -0.08, 0.15, 0.15, look.dark)


def _side_mouth(pen: Pen, look: Look, nose: tuple[float, float, float]) -> None:
    x, top, deep = nose
    corner = 0.28 + 0.1 * look.muzzle_length
    mouth = [(x - 0.04, top + deep * 0.7, 0.008), ((x + corner) / 2, top + deep * 0.82, 0.011),
             (corner, 0.17, 0.006)]
    pen.ribbon(mouth, BLACK, outline=False)
    size = 0.045 + 0.1 * look.muzzle
    pen.ellipse(x - size * 0.5, top + size * 0.35, size, size * 0.8, BLACK)


def _side_eye(pen: Pen, look: Look) -> None:
    if look.ears == "pointed":
        pen.blob([(0.05, -0.08), (0.05, -0.08), (0.11, -0.15), (0.21, -0.06), (0.21, -0.06),
                  (0.13, -0.04)], look.eye)
        pen.ellipse(0.135, -0.09, 0.035, 0.042, BLACK)
        pen.ellipse(0.147, -0.108, 0.012, 0.012, WHITE)
    else:
        pen.ellipse(0.12, -0.09, 0.062, 0.068, BLACK)
        pen.ellipse(0.14, -0.11, 0.022, 0.022, WHITE)


def _side_pointed_ear(pen: Pen, look: Look, color: Color) -> None:
    half, high = look.ear_width * 0.55, look.ear_height
    tip = np.array([-0.2 - half * 0.4, -0.24 - high])
    back, fore = np.array([-0.18 - half, -0.2]), np.array([-0.16 + half, -0.3])
    pen.blob([tip, tip, tip * 0.45 + back * 0.55 - [0.02, 0], back, fore,
              tip * 0.45 + fore * 0.55 + [0.02, 0]], color)
    if look.ear_tip:
        share = look.ear_tip
        pen.polygon([tip, tip + (back - tip) * share - [0.012, 0],
                     tip + (fore - tip) * share + [0.012, 0]], look.dark)


def _side_soft_ear(pen: Pen, look: Look) -> None:
    if look.ears == "floppy":
        long = look.ear_height * 0.85
        ear = [(-0.06, -0.32), (0.04, -0.12), (0.0, long - 0.4), (-0.13, long - 0.3),
               (-0.3, long - 0.42), (-0.28, -0.12)]
        pen.blob(ear, look.dark)
    else:
        pen.blob([(-0.28, -0.24), (-0.22, -0.48), (-0.04, -0.54), (0.02, -0.28)], look.dark)
        pen.blob([(-0.2, -0.5), (0.0, -0.54), (0.14, -0.24), (0.14, -0.24), (-0.06, -0.3)],
                 mix(look.dark, look.coat, 0.35))
