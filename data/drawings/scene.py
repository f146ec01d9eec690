"""One drawing: an animal in a landscape or a room, sometimes partly hidden."""

# fmt: off
# Colours and outlines are listed with several per line.

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

from data.drawings.body import POSES, draw_animal
from data.drawings.pen import INK, Array, Color, Pen, mix
from data.drawings.species import CLASS_NAMES, WHITE, random_look

Rng = np.random.Generator

CANVAS = 256  # side in pixels; scaling down from it smooths the edges
GRAIN_SIZE = 64  # side in pixels; coarse, so that the grain is similar at any size
TINTS = [(1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (1.08, 0.94, 0.78), (0.7, 0.74, 0.92), (0.9, 1.0, 1.06)]


def draw(seed: int, index: int, size: int) -> npt.NDArray[np.uint8]:
    """Draw one picture, a pure function of its arguments.

    Args:
        seed: of all drawings; 0 or more.
        index: of this drawing; 0 or more. The classes take turns: 0 is a dog, 1 a fox, 2 a wolf.
        size: side in pixels. The drawing is the same in every size: it is drawn on a canvas of a
            fixed size and then scaled.

    Shape:
        (size, size, 3), RGB.

    Example:
        >>> draw(seed=0, index=1, size=64).shape
        (64, 64, 3)
    """
    rng = np.random.default_rng([seed, index])
    image = Image.new("RGB", (CANVAS, CANVAS))
    (_draw_room if rng.random() < 0.2 else _draw_landscape)(image, rng)
    look, pose = random_look(index % len(CLASS_NAMES), rng), POSES[rng.integers(len(POSES))]
    left, right, height = pose.room
    scale = rng.uniform(0.75, 1.08) / max(right - left, height)  # almost fills the picture
    side = rng.choice([-1, 1])  # the direction in which the animal looks
    x = 0.5 - side * scale * (left + right) / 2 + rng.normal(0, 0.06)
    y = rng.uniform(*pose.ground)
    Pen.on(image, "RGBA").ellipse(x, y, scale * 0.6, scale * 0.1, (20, 24, 40, 70))  # shadow
    draw_animal(Pen.on(image).at(x, y, side * scale, scale, rng.normal(0, 4)), look, pose, rng)
    if rng.random() < 0.45:
        (_hide_by_tree, _hide_by_grass, _hide_by_fence)[rng.integers(3)](Pen.on(image), rng)
    return _light(image.resize((size, size), Image.Resampling.BILINEAR), rng)


def _light(image: Image.Image, rng: Rng) -> npt.NDArray[np.uint8]:
    """Change tint, brightness and contrast; add a light from one side and grain."""
    tint = np.array(TINTS[rng.integers(len(TINTS))]) * rng.uniform(0.95, 1.2)
    contrast, middle = rng.uniform(0.7, 1.2), rng.uniform(110, 150)
    levels = ((np.arange(256) - middle) * contrast + middle) * tint[:, None]
    image = image.point(levels.clip(0, 255).astype(np.uint8).ravel().tolist())
    image = ImageChops.multiply(image, _spread(rng.uniform(200, 255, (2, 2)), image.size))
    grain = rng.standard_normal((GRAIN_SIZE, GRAIN_SIZE)) * rng.uniform(0, 6) + 128
    return np.asarray(ImageChops.add(image, _spread(grain, image.size), offset=-128))


def _spread(levels: Array, size: tuple[int, int]) -> Image.Image:
    """Spread levels (rows, columns) or colours (rows, columns, 3) smoothly over a picture."""
    pixels = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    return pixels.resize(size, Image.Resampling.BILINEAR).convert("RGB")


# --- the surroundings, which are independent of the class

SKIES = [  # colours at the upper edge of the picture and at the lower one
    ((86, 150, 220), (206, 228, 242)), ((164, 206, 236), (226, 238, 240)),
    ((236, 140, 96), (250, 214, 160)), ((240, 190, 140), (250, 236, 210)),
    ((60, 66, 110), (170, 140, 170)), ((150, 160, 172), (206, 210, 214)),
]
GROUNDS: list[Color] = [(112, 168, 80), (92, 146, 84), (176, 172, 92), (240, 243, 248),
                        (226, 232, 242), (110, 96, 60), (84, 100, 58), (140, 102, 60)]
WOODS: list[Color] = [(92, 70, 52), (112, 92, 76), (70, 58, 52), (196, 192, 184), (168, 120, 80)]
PAINTS: list[Color] = [(226, 206, 178), (178, 200, 206), (206, 160, 140), (190, 196, 160),
                       (130, 140, 170), (176, 70, 66), (210, 180, 90)]
TUFT = np.array([(-3, 0), (-5, -6), (-1, -2), (0, -8), (1, -2), (5, -6), (3, 0)]) * 0.008


def _pick(colors: list[Color], rng: Rng) -> Color:
    return colors[rng.integers(len(colors))]


def _draw_landscape(image: Image.Image, rng: Rng) -> None:
    image.paste(_spread(rng.choice(SKIES)[:, None], image.size))
    pen = Pen.on(image).at(0, rng.uniform(0.35, 0.85))  # at the horizon
    ground = _pick(GROUNDS, rng)
    _draw_slope(pen.at(0, -0.08), mix(ground, (150, 170, 190), 0.5), rng)
    (_draw_clouds, _draw_firs, _draw_trees)[rng.integers(3)](pen, rng)
    _draw_slope(pen, ground, rng)
    for x, y in rng.uniform((0, 0.06), (1, 0.6), (14, 2)):
        if rng.random() < 0.6:
            pen.polygon(TUFT + [x, y], mix(ground, (50, 80, 44), 0.5), outline=False)
        else:
            pen.ellipse(x, y, 0.014, 0.01, _pick(PAINTS, rng))


def _draw_slope(pen: Pen, color: Color, rng: Rng) -> None:
    left, middle, right = rng.uniform(-0.05, 0.05, 3)
    pen.blob([(-0.3, left), (0.5, middle), (1.3, right), (1.5, 1.4), (-0.5, 1.4)], color, False)


def _draw_clouds(pen: Pen, rng: Rng) -> None:
    for x, y in rng.uniform((0, -0.7), (1, -0.1), (rng.integers(1, 5), 2)):
        for step in (-0.09, 0, 0.09):
            pen.ellipse(x + step, y - 0.02 * (step == 0), 0.09, 0.045, (232, 232, 238))


def _draw_firs(pen: Pen, rng: Rng) -> None:
    for x, size in rng.uniform((0, 0.2), (1, 0.45), (rng.integers(2, 6), 2)):
        fir = pen.at(x, 0, size, size)
        for y, wide in ((0.1, 0.3), (-0.2, 0.24), (-0.48, 0.17)):
            fir.polygon([(-wide, y), (0, y - 0.44), (wide, y)], (78, 112, 104))


def _draw_trees(pen: Pen, rng: Rng) -> None:
    for x, wide in rng.uniform((0, 0.015), (1, 0.05), (rng.integers(4, 8), 2)):
        _draw_trunk(pen.at(x, 0, wide), rng)


def _draw_trunk(pen: Pen, rng: Rng) -> None:
    """Draw a trunk of two units in width over the whole height of the picture."""
    color = _pick(WOODS, rng)
    _draw_box(pen, -1, -1, 2, 3, color)
    for y in (-0.4, 0, 0.4, 0.8):
        pen.polygon([(-0.5, y), (-0.2, y), (-0.3, y + 0.1)], mix(color, INK, 0.4), outline=False)


def _draw_box(pen: Pen, x: float, y: float, wide: float, high: float, color: Color) -> None:
    pen.polygon([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high), (x, y)], color)


def _draw_room(image: Image.Image, rng: Rng) -> None:
    pen, wall, floor = Pen.on(image), _pick(PAINTS, rng), rng.uniform(0.6, 0.8)
    image.paste(wall, (0, 0, *image.size))
    stripe = rng.uniform(0.05, 0.12)
    for x in np.arange(0, 1, stripe * 2):
        _draw_box(pen, x, -1, stripe, 3, mix(wall, WHITE, 0.3))
    if rng.random() < 0.6:
        window = pen.at(rng.uniform(0, 0.7), rng.uniform(0, 0.2), 0.3, 0.3)
        glass, _ = SKIES[rng.integers(len(SKIES))]
        _draw_box(window, 0, 0, 0.8, 1, WHITE)
        for x, y in ((0.06, 0.06), (0.43, 0.06), (0.06, 0.53), (0.43, 0.53)):
            _draw_box(window, x, y, 0.31, 0.41, glass)
    _draw_box(pen, -1, floor, 3, 1, _pick(WOODS, rng))
    if rng.random() < 0.6:
        pen.ellipse(rng.uniform(0.3, 0.7), 0.9, 0.45, 0.12, _pick(PAINTS, rng), outline=True)


def _hide_by_tree(pen: Pen, rng: Rng) -> None:
    x = rng.uniform(0.02, 0.24)
    _draw_trunk(pen.at(rng.choice([x, 1 - x]), 0, rng.uniform(0.04, 0.09)), rng)


def _hide_by_grass(pen: Pen, rng: Rng) -> None:
    color = mix(_pick(GROUNDS, rng), (70, 116, 56), 0.7)
    for x in rng.uniform(0, 1, 24):
        tip = (x + rng.normal(0, 0.04), 1 - rng.uniform(0.08, 0.24))
        blade = mix(color, (230, 230, 150), rng.uniform(0, 0.3))
        pen.polygon([(x - 0.02, 1), tip, (x + 0.02, 1)], blade, outline=False)


def _hide_by_fence(pen: Pen, rng: Rng) -> None:
    color, fence = _pick([*WOODS, WHITE], rng), pen.at(0, rng.uniform(0.74, 0.86))
    for y in (0.04, 0.14):
        _draw_box(fence, -0.1, y, 1.2, 0.03, color)
    for x in np.arange(rng.uniform(-0.1, 0), 1, rng.uniform(0.16, 0.26)):
        fence.polygon([(x, 1), (x, 0), (x + 0.025, -0.03), (x + 0.05, 0), (x + 0.05, 1)], color)
