"""What makes a dog, a fox and a wolf: the numbers and colours that one animal draws by lot.

The colours overlap between the species; ears, head, muzzle, markings and tail do not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.drawings.pen import WHITE, Color, mix

CLASS_NAMES = ["dog", "fox", "wolf"]

DARK: Color = (48, 40, 42)
COLLARS: list[Color] = [(200, 48, 48), (48, 96, 190), (60, 150, 80), (236, 190, 60)]
DOG_COATS: list[Color] = [
    (206, 132, 66),  # ginger
    (184, 96, 50),  # red
    (128, 82, 52),  # brown
    (62, 54, 54),  # black
    (138, 136, 138),  # grey
    (226, 202, 160),  # cream
    (222, 214, 204),  # white
]
FOX_COATS: list[Color] = [
    (222, 112, 42),  # red
    (214, 100, 40),  # deep red
    (206, 118, 56),  # pale red
    (186, 84, 40),  # rust
    (212, 156, 96),  # sand
    (82, 74, 78),  # the dark phase
    (140, 124, 116),  # grey
]
WOLF_COATS: list[Color] = [
    (136, 136, 138),  # grey
    (112, 110, 114),  # dark grey
    (146, 122, 98),  # brown and grey
    (168, 110, 78),  # reddish
    (196, 156, 112),  # sand
    (214, 204, 186),  # white
    (66, 62, 66),  # black
]


@dataclass(frozen=True)
class Look:
    """One animal. Lengths of the head are in heads, those of the body in bodies."""

    # colours
    coat: Color
    pale: Color  # cheeks, chest, belly
    dark: Color  # soft ears, tips of pointed ones, socks, saddle
    eye: Color
    # head
    head: Literal["round", "wedge", "broad"]
    marking: Literal["none", "blaze", "patch", "cheeks", "mask"]
    ears: Literal["floppy", "folded", "pointed"]
    ear_height: float
    ear_width: float  # half of it
    cheek: float  # half the width of the face
    muzzle: float  # half the width of the muzzle
    muzzle_length: float  # from the brow to the nose
    # body
    leg: float
    depth: float  # of the chest
    head_height: float  # above the back
    tail: Literal["curled", "bushy", "straight"]
    # what only some have
    ear_tip: float = 0  # the share of a pointed ear that is dark
    ruff: bool = False  # ragged fur around the cheeks
    tongue: bool = False  # hangs out
    collar: Color | None = None
    socks: float = 0  # the share of a leg that is dark
    saddle: bool = False


def _coat(rng: np.random.Generator, coats: list[Color]) -> Color:
    """One of the coats, a little lighter, darker or otherwise off."""
    off = rng.normal(0, 9) + rng.normal(0, 4, 3)
    red, green, blue = np.clip(np.array(coats[rng.integers(len(coats))]) + off, 20, 250).tolist()
    return round(red), round(green), round(blue)


def dog(rng: np.random.Generator) -> Look:
    """A round head with a blunt muzzle, soft ears, a curled tail."""
    coat = _coat(rng, DOG_COATS)
    markings: list[Literal["none", "blaze", "patch"]] = ["none", "blaze", "patch"]
    return Look(
        coat=coat,
        pale=mix(coat, WHITE, (0.25, 0.6, 0.95)[rng.integers(3)]),
        dark=mix(coat, DARK, rng.uniform(0.3, 0.8)),
        eye=(70, 44, 30),
        head="round",
        marking=markings[rng.integers(3)],
        ears="floppy" if rng.random() < 0.65 else "folded",
        ear_height=rng.uniform(0.75, 1.1),
        ear_width=rng.uniform(0.24, 0.34),
        cheek=rng.uniform(0.5, 0.6),
        muzzle=rng.uniform(0.3, 0.38),
        muzzle_length=rng.uniform(0.3, 0.46),
        leg=rng.uniform(0.28, 0.46),
        depth=rng.uniform(0.38, 0.46),
        head_height=rng.uniform(0.22, 0.34),
        tail="curled",
        tongue=rng.random() < 0.4,
        collar=COLLARS[rng.integers(len(COLLARS))] if rng.random() < 0.4 else None,
        saddle=rng.random() < 0.3,
    )


def fox(rng: np.random.Generator) -> Look:
    """A wedge of a head with white cheeks, large ears with dark tips, a tail with a white one."""
    coat = _coat(rng, FOX_COATS)
    return Look(
        coat=coat,
        pale=mix(coat, WHITE, rng.uniform(0.85, 1)),
        dark=mix(coat, DARK, rng.uniform(0.8, 1)),
        eye=(196, 128, 40),
        head="wedge",
        marking="cheeks",
        ears="pointed",
        ear_height=rng.uniform(0.62, 0.78),
        ear_width=rng.uniform(0.24, 0.3),
        cheek=rng.uniform(0.62, 0.72),
        muzzle=rng.uniform(0.1, 0.14),
        muzzle_length=rng.uniform(0.44, 0.54),
        leg=rng.uniform(0.26, 0.34),
        depth=rng.uniform(0.26, 0.31),
        head_height=rng.uniform(0.16, 0.28),
        tail="bushy",
        ear_tip=rng.uniform(0.35, 0.55),
        socks=rng.uniform(0.5, 0.7),
    )


def wolf(rng: np.random.Generator) -> Look:
    """A broad head with a ruff and a strong muzzle, short pointed ears, a hanging tail."""
    coat = _coat(rng, WOLF_COATS)
    return Look(
        coat=coat,
        pale=mix(coat, WHITE, rng.uniform(0.5, 0.8)),
        dark=mix(coat, DARK, rng.uniform(0.4, 0.7)),
        eye=(226, 190, 70),
        head="broad",
        marking="mask",
        ears="pointed",
        ear_height=rng.uniform(0.34, 0.44),
        ear_width=rng.uniform(0.15, 0.19),
        cheek=rng.uniform(0.56, 0.64),
        muzzle=rng.uniform(0.2, 0.25),
        muzzle_length=rng.uniform(0.5, 0.62),
        leg=rng.uniform(0.46, 0.58),
        depth=rng.uniform(0.36, 0.42),
        head_height=rng.uniform(0.06, 0.22),
        tail="straight",
        ear_tip=0.25 if rng.random() < 0.5 else 0,
        ruff=True,
        saddle=rng.random() < 0.8,
    )


SPECIES: list[Callable[[np.random.Generator], Look]] = [dog, fox, wolf]  # as in CLASS_NAMES
