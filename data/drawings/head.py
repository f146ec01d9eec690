"""Heads from the front or in profile: one unit high without ears, the eyes near the origin."""

# fmt: off
# Outlines are listed with several points per line; one per line would hide the shape.

from data.drawings.pen import Color, Pen, mirrored, mix
from data.drawings.species import WHITE, Look

BLACK: Color = (28, 24, 26)
PINK: Color = (222, 120, 128)
INNER_EAR: Color = (214, 168, 152)

# Right halves, from the crown to the chin; x in units of half the width of the face.
FACES = {
    "dog": [(0, -0.44), (0.6, -0.38), (0.9, -0.1), (1, 0.16), (0.84, 0.4), (0.6, 0.52), (0, 0.58)],
    "fox": [(0, -0.4), (0.45, -0.36), (0.72, -0.14), (1, 0.14), (1, 0.14), (0.62, 0.3),
            (0.27, 0.46), (0.1, 0.56), (0, 0.58)],
    "wolf": [(0, -0.42), (0.47, -0.38), (0.82, -0.12), (0.88, 0.14), (0.72, 0.34), (0.46, 0.5),
             (0, 0.62)],
}
CHEEKS = {
    "fox": [(0.04, 0.36), (0.2, 0.14), (0.5, 0.1), (0.96, 0.15), (0.96, 0.15), (0.6, 0.29),
            (0.24, 0.45), (0, 0.56)],
    "wolf": [(0.08, 0.3), (0.33, 0.14), (0.8, 0.12), (0.64, 0.34), (0.4, 0.5), (0, 0.6)],
}
RUFF = mirrored([(0, -0.3), (0.9, -0.16), (1.12, 0.02), (0.98, 0.06), (1.2, 0.22), (0.98, 0.24),
                 (1.08, 0.42), (0.8, 0.4), (0.7, 0.58), (0.4, 0.52), (0, 0.66)])
STRIPE = mirrored([(0, -0.4), (0.25, -0.34), (0.12, -0.05), (0.16, 0.3), (0, 0.3)])


def draw_face(pen: Pen, look: Look) -> None:
    """Draw a head from the front."""
    face = pen.at(0, 0, look.cheek, 1)
    if look.species == "wolf":
        face.polygon(RUFF, mix(look.coat, look.pale, 0.45))
    face.blob(mirrored(FACES[look.species]), look.coat)
    if look.species == "dog":
        if look.marking == "blaze":
            face.ellipse(0, 0, 0.2, 0.4, look.pale)
        elif look.marking == "patch":
            face.ellipse(0.44, -0.08, 0.36, 0.22, look.dark)
        face.ellipse(0, 0.36, look.muzzle, 0.21, mix(look.coat, look.pale, 0.8), outline=True)
        if look.tongue:
            face.blob(mirrored([(0, 0.43), (0.15, 0.44), (0.13, 0.62), (0, 0.66)]), PINK)
        smile = [(-0.38, 0.4), (-0.21, 0.46), (0, 0.4), (0.21, 0.46), (0.38, 0.4)]
        face.ribbon([(x, y, 0.016) for x, y in smile], BLACK, outline=False)
        _draw_nose(face.at(0, 0.27, 0.24, 0.12))
    else:
        if look.species == "wolf":
            face.blob(STRIPE, mix(look.coat, look.dark, 0.6), outline=False)
        for half in (face, face.at(0, 0, -1, 1)):
            half.blob(CHEEKS[look.species], look.pale, outline=False)
        if look.species == "wolf":
            for x in (-0.33, 0.33):
                face.ellipse(x, -0.2, 0.12, 0.045, look.pale)
            face.ellipse(0, 0.41, look.muzzle, 0.22, mix(look.coat, look.pale, 0.6), outline=True)
        _draw_nose(face.at(0, 0.47, look.muzzle * 0.54, look.muzzle * 0.32))
    for half in (pen, pen.at(0, 0, -1, 1)):
        _draw_eye(half.at(0.21, -0.03), look)
        _draw_ear(half, look)


def draw_profile(pen: Pen, look: Look) -> None:
    """Draw a head that looks to the right."""
    is_dog = look.species == "dog"
    ear = pen.at(-0.5, -0.06, 0.64, 0.8, 20) if is_dog else pen.at(0.08, -0.04, -0.68, 0.82)
    if not is_dog:
        _draw_ear(ear.at(-0.24, 0.01), look)
    if look.species == "wolf":
        pen.at(-0.14, 0.06, 0.42, 1).polygon(RUFF, mix(look.coat, look.pale, 0.5))
    tip, deep = 0.18 + look.snout, 0.04 + look.muzzle * 0.56
    top = 0.15 - deep * 0.62  # of the muzzle
    pen.blob([(-0.36, 0.02), (-0.26, -0.26), (-0.02, -0.36), (0.16, -0.24), (0.27, -0.12),
              (tip - 0.08, top), (tip, top + deep * 0.4), (tip - 0.06, top + deep * 0.97),
              (0.26, 0.3), (0, 0.4), (-0.26, 0.34)], look.coat)
    if not is_dog:
        pen.at(tip - 0.05, -0.03, -0.9, 0.54).blob(CHEEKS[look.species], look.pale, False)
    elif look.marking != "none":
        pen.ellipse(0.1, -0.08, 0.15, 0.15, look.dark)
    lip = (tip - 0.03, top + deep * 0.6, 0.008)
    pen.ribbon([lip, (0.4, top + deep * 0.82, 0.011), (0.32, 0.17, 0.006)], BLACK, outline=False)
    nose = 0.045 + look.muzzle * 0.06
    _draw_nose(pen.at(tip - 0.03, top + 0.03, nose, nose))
    _draw_eye(pen.at(0.13, -0.09, -0.75, 0.75), look)
    _draw_ear(ear, look)


def _draw_nose(pen: Pen) -> None:
    pen.ellipse(0, 0, 1, 0.8, BLACK)
    pen.ellipse(-0.3, -0.25, 0.25, 0.18, (130, 126, 130))


def _draw_eye(pen: Pen, look: Look) -> None:
    """Draw the right eye of a face: round for a dog, otherwise slanted."""
    if look.species == "dog":
        pen.ellipse(0, 0, 0.085, 0.095, look.eye)
    else:
        inner, outer = (-0.1, 0.05), (0.11, -0.06)
        pen.blob([inner, inner, (0, -0.055), outer, outer, (0.03, 0.06)], look.eye)
    pen.ellipse(0, 0, 0.048, 0.055, BLACK)
    pen.ellipse(-0.015, -0.025, 0.02, 0.02, WHITE)


def _draw_ear(pen: Pen, look: Look) -> None:
    """Draw the right ear of a face; a profile uses it too, but narrower."""
    wide, high, out = look.ear_width, look.ear_height, look.cheek
    if look.species != "dog":
        path = [(0.31, -0.27, wide * 0.9), (0.33 + wide * 0.3, -0.24 - high * 0.45, wide * 0.72),
                (0.34 + wide * 0.55, -0.26 - high, 0.01)]
        pen.ribbon(path, look.coat)
        inner = [(x - 0.01, y + 0.05, half * 0.55) for x, y, half in path]
        pen.ribbon(inner, mix(look.pale, INNER_EAR, 0.5), start=0.25, outline=False)
        pen.ribbon(path, look.dark, start=1 - look.ear_tip)
    elif look.floppy:
        pen.blob([(0.26, -0.4), (out * 0.9, -0.38), (out + wide * 0.8, -0.1),
                  (out + wide * 0.7, high - 0.42), (out + wide * 0.1, high - 0.36),
                  (out - wide * 0.25, 0.06)], look.dark)
    else:  # an upright ear whose tip falls forward
        tip = (0.36 + wide * 1.3, -0.22)
        pen.blob([(0.12, -0.36), (0.3, -0.62), (0.3 + wide, -0.58), (0.5, -0.2)], look.dark)
        pen.blob([(0.26, -0.6), (0.3 + wide * 1.1, -0.62), tip, tip, (0.34, -0.4)],
                 mix(look.dark, look.coat, 0.35))
