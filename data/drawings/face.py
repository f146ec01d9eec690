"""A face that looks at us: about one unit high without its ears, its eyes near the origin."""

# fmt: off
# Outlines are listed with several points a line; one a line would hide the shape.

from collections.abc import Callable

from data.drawings.pen import BLACK, INK, WHITE, Color, Pen, mirrored, mix
from data.drawings.species import Look

PINK: Color = (222, 120, 128)
INNER_EAR: Color = (214, 168, 152)
GLEAM: Color = (130, 126, 130)


def draw_face(pen: Pen, look: Look) -> None:
    if look.ruff:
        _ruff(pen, look)
    if look.ears == "pointed":
        _both(pen, look, _pointed_ear)
    pen.blob(mirrored(_outline(look)), look.coat)
    _markings(pen, look)
    _muzzle(pen, look)
    _both(pen, look, _round_eye if look.head == "round" else _slanted_eye)
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
    pen.polygon(mirrored(half), mix(look.coat, look.pale, 0.45))


def _outline(look: Look) -> list[tuple[float, float]]:
    """The right half of the face, from the crown to the chin."""
    out, chin = look.cheek, look.muzzle
    if look.head == "round":
        return [(0, -0.44), (0.32, -0.38), (out * 0.9, -0.1), (out, 0.16), (out * 0.84, 0.4),
                (chin, 0.52), (0, 0.58)]
    if look.head == "wedge":  # widest at the points of the cheeks
        return [(0, -0.4), (0.3, -0.36), (0.48, -0.14), (out, 0.14), (out, 0.14), (0.42, 0.3),
                (chin + 0.06, 0.46), (chin * 0.6, 0.56), (0, 0.58)]
    return [(0, -0.42), (0.28, -0.38), (out * 0.82, -0.12), (out * 0.88, 0.14), (out * 0.72, 0.34),
            (chin + 0.06, 0.5), (chin * 0.7, 0.6), (0, 0.62)]


def _markings(pen: Pen, look: Look) -> None:
    if look.marking == "cheeks":
        _both(pen, look, _white_cheek)
    elif look.marking == "mask":
        _both(pen, look, _pale_cheek_and_brow)
        half = [(0, -0.4), (0.16, -0.34), (0.07, -0.05), (0.1, 0.3), (0, 0.3)]
        pen.blob(mirrored(half), mix(look.coat, look.dark, 0.6), outline=False)
    elif look.marking == "blaze":
        half = [(0, -0.4), (0.08, -0.3), (0.08, 0), (look.muzzle, 0.3), (0, 0.5)]
        pen.blob(mirrored(half), look.pale, outline=False)
    elif look.marking == "patch":
        pen.ellipse(look.cheek * 0.44, -0.08, 0.2, 0.22, look.dark)


def _white_cheek(pen: Pen, look: Look) -> None:
    out = look.cheek
    cheek = [(0.03, 0.36), (0.14, 0.14), (0.34, 0.1), (out * 0.96, 0.15), (out * 0.96, 0.15),
             (0.4, 0.29), (look.muzzle + 0.04, 0.45), (look.muzzle * 0.5, 0.55), (0, 0.56)]
    pen.blob(cheek, look.pale, outline=False)


def _pale_cheek_and_brow(pen: Pen, look: Look) -> None:
    cheek = [(0.05, 0.3), (0.2, 0.14), (look.cheek * 0.8, 0.12), (look.cheek * 0.64, 0.34),
             (look.muzzle + 0.02, 0.5), (0, 0.6)]
    pen.blob(cheek, look.pale, outline=False)
    pen.ellipse(0.2, -0.2, 0.07, 0.045, look.pale)


def _muzzle(pen: Pen, look: Look) -> None:
    wide = look.muzzle
    if look.head == "round":
        fur = look.pale if look.marking == "none" else mix(look.coat, look.pale, 0.75)
        pen.ellipse(0, 0.36, wide, 0.21, fur, outline=True)
        _smile(pen, look)
        _nose(pen, 0.27, wide * 0.38)
    elif look.head == "wedge":
        _nose(pen, 0.47, wide * 0.55)
    else:
        half = [(0, 0.14), (wide * 0.7, 0.2), (wide, 0.44), (wide * 0.7, 0.6), (0, 0.63)]
        pen.blob(mirrored(half), mix(look.coat, look.pale, 0.6))
        _nose(pen, 0.44, wide * 0.55)


def _nose(pen: Pen, y: float, half: float) -> None:
    pen.ellipse(0, y, half, half * 0.72, BLACK)
    pen.ellipse(-half * 0.3, y - half * 0.25, half * 0.25, half * 0.16, GLEAM)


def _smile(pen: Pen, look: Look) -> None:
    """Two arcs below the nose and, from a cheerful dog, the tongue."""
    wide = look.muzzle
    if look.tongue:
        pen.blob([(-0.08, 0.44), (0.08, 0.44), (0.07, 0.62), (0, 0.66), (-0.07, 0.62)], PINK)
    arcs = [(-wide * 0.62, 0.4), (-wide * 0.35, 0.46), (0, 0.4), (wide * 0.35, 0.46),
            (wide * 0.62, 0.4)]
    pen.ribbon([(*point, 0.014) for point in arcs], BLACK, outline=False)


def _round_eye(pen: Pen, look: Look) -> None:
    pen.ellipse(0.23, -0.05, 0.085, 0.095, mix(look.eye, INK, 0.4))
    pen.ellipse(0.23, -0.05, 0.055, 0.065, BLACK)
    pen.ellipse(0.21, -0.08, 0.025, 0.025, WHITE)


def _slanted_eye(pen: Pen, look: Look) -> None:
    pen.blob([(0.1, 0.03), (0.1, 0.03), (0.2, -0.075), (0.31, -0.08), (0.31, -0.08), (0.23, 0.04)],
             look.eye)
    pen.ellipse(0.205, -0.02, 0.045, 0.05, BLACK)
    pen.ellipse(0.19, -0.04, 0.015, 0.015, WHITE)


def _pointed_ear(pen: Pen, look: Look) -> None:
    """The right ear: its back, its inside and its dark tip."""
    wide, high = look.ear_width, look.ear_height
    tip = (0.34 + wide * 0.55, -0.26 - high)
    middle = (0.33 + wide * 0.3, -0.24 - high * 0.45)
    path = [(0.3, -0.14, wide), (*middle, wide * 0.72), (*tip, 0.01)]
    pen.ribbon(path, look.coat)
    inner = [(x - 0.02, y + 0.06, half * 0.55) for x, y, half in path]
    pen.ribbon(inner, mix(look.pale, INNER_EAR, 0.5), outline=False)
    if look.ear_tip:
        pen.ribbon(path, look.dark, start=1 - look.ear_tip)


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
