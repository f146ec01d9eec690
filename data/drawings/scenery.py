"""What stands behind the animals and before them: none of it tells the class."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from data.drawings.pen import Color, Pen, mix

Rng = np.random.Generator


def _pick(rng: Rng, colors: list[Color]) -> Color:
    return colors[rng.integers(len(colors))]


def _gradient(size: int, top: Color, bottom: Color) -> Image.Image:
    return Image.fromarray(np.array([[top], [bottom]], dtype=np.uint8)).resize(
        (size, size), Image.Resampling.BILINEAR
    )


def _ground(pen: Pen, rng: Rng, y: float, color: Color) -> None:
    """A slope from one edge to the other, at about the height y."""
    left, middle, right = y + rng.uniform(-0.05, 0.05, 3)
    pen.blob([(-0.3, left), (0.5, middle), (1.3, right), (1.5, 1.4), (-0.5, 1.4)], color, False)


def meadow(size: int, rng: Rng) -> Image.Image:
    image = _gradient(
        size, _pick(rng, [(120, 182, 232), (164, 206, 236), (240, 190, 140)]), (226, 238, 240)
    )
    pen = Pen.on(image)
    horizon = rng.uniform(0.3, 0.6)
    _ground(pen, rng, horizon - 0.08, _pick(rng, [(122, 162, 130), (140, 170, 150)]))
    green = _pick(rng, [(112, 168, 80), (140, 176, 84), (176, 172, 92), (92, 146, 84)])
    _ground(pen, rng, horizon, green)
    for x, y in rng.uniform([0, horizon + 0.08], [1, 1], (14, 2)):
        if rng.random() < 0.6:
            _tuft(pen.at(x, y, 0.06), mix(green, (40, 80, 40), 0.35))
        else:
            petals = _pick(rng, [(250, 236, 120), (250, 250, 250), (224, 110, 140)])
            pen.ellipse(x, y, 0.014, 0.012, petals)
    return image


def _tuft(pen: Pen, color: Color) -> None:
    pen.polygon(
        [(-0.4, 0), (-0.7, -0.8), (-0.1, -0.2), (0, -1), (0.15, -0.2), (0.6, -0.8), (0.4, 0)],
        color,
        outline=False,
    )


def snow(size: int, rng: Rng) -> Image.Image:
    image = _gradient(
        size, _pick(rng, [(150, 176, 206), (190, 204, 220), (216, 190, 200)]), (228, 232, 238)
    )
    pen = Pen.on(image)
    horizon = rng.uniform(0.35, 0.6)
    _ground(pen, rng, horizon - 0.06, (206, 216, 230))
    for x in rng.uniform(0, 1, rng.integers(2, 6)):
        _fir(
            pen.at(x, horizon + 0.03, rng.uniform(0.2, 0.45)),
            _pick(rng, [(70, 104, 96), (92, 124, 120)]),
        )
    _ground(pen, rng, horizon, (240, 243, 248))
    for x, y in rng.uniform(0, 1, (18, 2)):
        pen.ellipse(x, y, 0.008, 0.008, (255, 255, 255))
    return image


def _fir(pen: Pen, color: Color) -> None:
    for y, wide in ((0, 0.3), (-0.3, 0.24), (-0.58, 0.17)):
        pen.polygon([(-wide, y), (0, y - 0.44), (wide, y)], color)


def wood(size: int, rng: Rng) -> Image.Image:
    dark = _pick(rng, [(62, 92, 72), (92, 116, 70), (120, 100, 68), (74, 88, 100)])
    image = _gradient(size, mix(dark, (220, 226, 190), 0.35), dark)
    pen = Pen.on(image)
    for x in rng.uniform(-0.05, 1.05, rng.integers(4, 8)):
        _trunk(
            pen.at(x, 0),
            rng.uniform(0.015, 0.05),
            _pick(rng, [(92, 70, 52), (112, 92, 76), (70, 58, 52)]),
        )
    floor = _pick(rng, [(110, 96, 60), (84, 100, 58), (140, 102, 60)])
    _ground(pen, rng, rng.uniform(0.5, 0.7), floor)
    for x, y in rng.uniform([0, 0.6], [1, 1], (16, 2)):
        pen.ellipse(x, y, 0.02, 0.01, _pick(rng, [(190, 130, 60), (160, 90, 50), (120, 140, 70)]))
    return image


def _trunk(pen: Pen, half: float, color: Color) -> None:
    """A tree from above the picture down to below its lower edge."""
    pen.polygon([(-half, -0.1), (half, -0.1), (half * 1.15, 1.1), (-half * 1.15, 1.1)], color)
    for y in (0.12, 0.4, 0.63, 0.86):
        pen.polygon(
            [(-half * 0.5, y), (-half * 0.2, y), (-half * 0.3, y + 0.1)],
            mix(color, (30, 24, 24), 0.4),
            outline=False,
        )


def room(size: int, rng: Rng) -> Image.Image:
    wall = _pick(
        rng, [(226, 206, 178), (178, 200, 206), (206, 160, 140), (190, 196, 160), (130, 140, 170)]
    )
    image = Image.new("RGB", (size, size), wall)
    pen = Pen.on(image)
    if rng.random() < 0.5:
        width = rng.uniform(0.05, 0.12)
        for x in np.arange(rng.uniform(0, width), 1, 2 * width):
            pen.polygon(
                [(x, 0), (x + width, 0), (x + width, 1), (x, 1)],
                mix(wall, (255, 250, 240), 0.3),
                False,
            )
    if rng.random() < 0.6:
        _window(pen.at(rng.uniform(0, 0.7), rng.uniform(0.02, 0.2), rng.uniform(0.25, 0.4)), rng)
    floor_y = rng.uniform(0.6, 0.8)
    floor = _pick(rng, [(168, 120, 80), (130, 96, 72), (196, 168, 130), (110, 116, 124)])
    pen.polygon([(0, floor_y), (1, floor_y), (1, 1), (0, 1)], floor)
    if rng.random() < 0.6:
        rug = _pick(rng, [(176, 60, 60), (70, 110, 140), (210, 180, 90), (110, 130, 90)])
        pen.ellipse(
            rng.uniform(0.3, 0.7), (floor_y + 1.1) / 2, 0.45, (1 - floor_y) * 0.42, rug, True
        )
    return image


def _window(pen: Pen, rng: Rng) -> None:
    pen.polygon([(0, 0), (0.8, 0), (0.8, 1), (0, 1)], (244, 240, 230))
    glass = _pick(rng, [(150, 200, 236), (60, 70, 110), (240, 190, 130)])
    for x in (0.06, 0.43):
        for y in (0.06, 0.53):
            pen.polygon([(x, y), (x + 0.31, y), (x + 0.31, y + 0.41), (x, y + 0.41)], glass)


def sky(size: int, rng: Rng) -> Image.Image:
    """A hilltop, most of the picture being sky."""
    top, bottom = [
        ((86, 150, 220), (206, 228, 242)),
        ((236, 140, 96), (250, 214, 160)),
        ((60, 66, 110), (170, 140, 170)),
        ((150, 160, 172), (206, 210, 214)),
    ][rng.integers(4)]
    image = _gradient(size, top, bottom)
    pen = Pen.on(image)
    for x, y in rng.uniform([0, 0], [1, 0.6], (rng.integers(1, 5), 2)):
        cloud = mix(bottom, (255, 255, 255), 0.6)
        for step in (-0.09, 0, 0.09):
            pen.ellipse(x + step, y - 0.02 * (step == 0), 0.09, 0.045, cloud)
    _ground(
        pen,
        rng,
        rng.uniform(0.78, 0.9),
        _pick(rng, [(116, 150, 84), (150, 130, 90), (236, 240, 244)]),
    )
    return image


BACKGROUNDS: list[Callable[[int, Rng], Image.Image]] = [meadow, snow, wood, room, sky]


def tree_before(pen: Pen, rng: Rng) -> None:
    """A trunk at one side of the animal."""
    x = rng.choice([rng.uniform(0.02, 0.24), rng.uniform(0.76, 0.98)])
    _trunk(
        pen.at(x, 0),
        rng.uniform(0.04, 0.09),
        _pick(rng, [(92, 70, 52), (120, 100, 84), (196, 192, 184)]),
    )


def grass_before(pen: Pen, rng: Rng) -> None:
    """Long blades along the lower edge."""
    color = _pick(rng, [(84, 130, 62), (150, 150, 76), (60, 96, 64)])
    for x in np.linspace(0, 1, 22) + rng.normal(0, 0.02, 22):
        high, lean = rng.uniform(0.08, 0.24), rng.normal(0, 0.04)
        pen.polygon(
            [(x - 0.02, 1.01), (x + lean, 1 - high), (x + 0.02, 1.01)],
            mix(color, (230, 230, 150), rng.uniform(0, 0.3)),
            outline=False,
        )


def fence_before(pen: Pen, rng: Rng) -> None:
    """A low fence: posts and two rails."""
    color = _pick(rng, [(236, 232, 224), (150, 112, 78), (110, 104, 100)])
    top, gap = rng.uniform(0.74, 0.86), rng.uniform(0.16, 0.26)
    for y in (top + 0.04, top + 0.14):
        pen.polygon([(-0.1, y), (1.1, y), (1.1, y + 0.03), (-0.1, y + 0.03)], color)
    for x in np.arange(rng.uniform(-0.1, 0.1), 1.1, gap):
        pen.polygon(
            [(x, top), (x + 0.025, top - 0.03), (x + 0.05, top), (x + 0.05, 1.1), (x, 1.1)], color
        )


COVERS: list[Callable[[Pen, Rng], None]] = [tree_before, grass_before, fence_before]


def shadow(image: Image.Image, x: float, y: float, half: float) -> None:
    """Darken the ground below an animal that stands at (x, y)."""
    Pen.on(image, "RGBA").ellipse(x, y, half, half * 0.16, (20, 24, 40, 70))
