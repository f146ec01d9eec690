"""What makes a dog, a fox and a wolf: numbers and colours that one animal draws by lot."""

from dataclasses import dataclass

import numpy as np

from data.drawings.pen import Color, mix

CLASS_NAMES = ["dog", "fox", "wolf"]

WHITE: Color = (244, 240, 232)
DARK: Color = (48, 40, 42)


@dataclass(frozen=True)
class Look:
    """One animal. Lengths of the head count in heads, those of the body in bodies."""

    # colours
    coat: Color
    pale: Color  # cheeks, chest, belly
    dark: Color  # tips of the ears, socks, saddle
    eye: Color
    # head
    ears: str  # floppy | folded | pointed
    ear_height: float
    ear_width: float
    ear_tip: float  # the share of a pointed ear that is dark
    cheek: float  # half the width of the face, its fur included
    ruff: float  # how ragged the fur of the cheeks is
    muzzle: float  # half the width of the muzzle
    muzzle_length: float  # from the brow to the nose, from the side
    marking: str  # none | blaze | patch | cheeks | mask
    tongue: bool  # hangs out
    # body
    leg: float
    depth: float  # of the chest
    tail: str  # curled | bushy | straight
    socks: float  # the share of a leg that is dark
    saddle: bool
    collar: Color | None
    # Where the head is carried, above the back.
    head_height: float


COATS: dict[str, list[Color]] = {
    "dog": [
        (206, 132, 66),
        (128, 82, 52),
        (62, 54, 54),
        (138, 136, 138),
        (226, 202, 160),
        (222, 214, 204),
        (184, 96, 50),
    ],
    "fox": [
        (222, 112, 42),
        (214, 100, 40),
        (186, 84, 40),
        (212, 156, 96),
        (82, 74, 78),
        (140, 124, 116),
    ],
    "wolf": [
        (136, 136, 138),
        (112, 110, 114),
        (146, 122, 98),
        (190, 112, 62),
        (214, 204, 186),
        (66, 62, 66),
        (204, 150, 92),
    ],
}
COLLARS: list[Color] = [(200, 48, 48), (48, 96, 190), (60, 150, 80), (236, 190, 60)]


def _coat(rng: np.random.Generator, name: str) -> Color:
    coats = COATS[name]
    red, green, blue = np.clip(
        np.array(coats[rng.integers(len(coats))]) + rng.normal(0, 9) + rng.normal(0, 5, 3), 20, 250
    ).astype(int)
    return int(red), int(green), int(blue)


def dog(rng: np.random.Generator) -> Look:
    coat = _coat(rng, "dog")
    return Look(
        coat=coat,
        pale=mix(coat, WHITE, rng.choice([0.25, 0.6, 0.95])),
        dark=mix(coat, DARK, rng.uniform(0.3, 0.8)),
        eye=(70, 44, 30),
        ears="floppy" if rng.random() < 0.65 else "folded",
        ear_height=rng.uniform(0.75, 1.1),
        ear_width=rng.uniform(0.24, 0.34),
        ear_tip=0,
        cheek=rng.uniform(0.5, 0.6),
        ruff=0,
        muzzle=rng.uniform(0.3, 0.38),
        muzzle_length=rng.uniform(0.3, 0.46),
        marking=str(rng.choice(["none", "blaze", "patch"])),
        tongue=rng.random() < 0.4,
        leg=rng.uniform(0.28, 0.46),
        depth=rng.uniform(0.38, 0.46),
        tail="curled",
        socks=0,
        saddle=rng.random() < 0.3,
        collar=COLLARS[rng.integers(len(COLLARS))] if rng.random() < 0.4 else None,
        head_height=rng.uniform(0.22, 0.34),
    )


def fox(rng: np.random.Generator) -> Look:
    coat = _coat(rng, "fox")
    return Look(
        coat=coat,
        pale=mix(coat, WHITE, rng.uniform(0.85, 1)),
        dark=mix(coat, DARK, rng.uniform(0.8, 1)),
        eye=(196, 128, 40),
        ears="pointed",
        ear_height=rng.uniform(0.62, 0.78),
        ear_width=rng.uniform(0.24, 0.3),
        ear_tip=rng.uniform(0.35, 0.55),
        cheek=rng.uniform(0.62, 0.72),
        ruff=0,
        muzzle=rng.uniform(0.1, 0.14),
        muzzle_length=rng.uniform(0.44, 0.54),
        marking="cheeks",
        tongue=False,
        leg=rng.uniform(0.26, 0.34),
        depth=rng.uniform(0.26, 0.31),
        tail="bushy",
        socks=rng.uniform(0.5, 0.7),
        saddle=False,
        collar=None,
        head_height=rng.uniform(0.16, 0.28),
    )


def wolf(rng: np.random.Generator) -> Look:
    coat = _coat(rng, "wolf")
    return Look(
        coat=coat,
        pale=mix(coat, WHITE, rng.uniform(0.5, 0.8)),
        dark=mix(coat, DARK, rng.uniform(0.4, 0.7)),
        eye=(226, 190, 70),
        ears="pointed",
        ear_height=rng.uniform(0.34, 0.44),
        ear_width=rng.uniform(0.15, 0.19),
        ear_tip=rng.choice([0.0, 0.25]),
        cheek=rng.uniform(0.56, 0.64),
        ruff=rng.uniform(0.6, 1),
        muzzle=rng.uniform(0.2, 0.25),
        muzzle_length=rng.uniform(0.5, 0.62),
        marking="mask",
        tongue=False,
        leg=rng.uniform(0.46, 0.58),
        depth=rng.uniform(0.36, 0.42),
        tail="straight",
        socks=0,
        saddle=rng.random() < 0.8,
        collar=None,
        head_height=rng.uniform(0.06, 0.22),
    )


SPECIES = [dog, fox, wolf]  # in the order of CLASS_NAMES
