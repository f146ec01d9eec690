"""The colours and measurements of an animal.

The colours of the classes overlap; ears, head, muzzle, markings and tail differ.
"""

# fmt: off
# The tables have one column per species, or several colours per line.

from types import SimpleNamespace

import numpy as np

from data.drawings.pen import Color, mix

CLASS_NAMES = ["dog", "fox", "wolf"]
Look = SimpleNamespace  # one animal: its colours, and a number for each of `MEASURES`

WHITE: Color = (244, 240, 232)
DARK: Color = (48, 40, 42)
COLLARS: list[Color] = [(200, 48, 48), (48, 96, 190), (60, 150, 80), (236, 190, 60)]
EYES: list[Color] = [(46, 34, 28), (196, 128, 40), (226, 190, 70)]
COATS: list[list[Color]] = [
    [(206, 132, 66), (184, 96, 50), (128, 82, 52), (62, 54, 54), (138, 136, 138), (226, 202, 160),
     (222, 214, 204)],
    [(222, 112, 42), (214, 100, 40), (206, 118, 56), (186, 84, 40), (212, 156, 96), (82, 74, 78),
     (140, 124, 116)],
    [(136, 136, 138), (112, 110, 114), (146, 122, 98), (168, 110, 78), (196, 156, 112),
     (214, 204, 186), (66, 62, 66)],
]
# Ranges for a dog, a fox and a wolf. Units are head heights; for the body, body lengths.
MEASURES = {
    "cheek":       [(0.50, 0.60), (0.62, 0.72), (0.56, 0.64)],  # half the width of the face
    "muzzle":      [(0.54, 0.68), (0.15, 0.21), (0.34, 0.42)],  # its width, as a share of the face
    "snout":       [(0.30, 0.46), (0.44, 0.54), (0.50, 0.62)],  # its length
    "ear_height":  [(0.75, 1.10), (0.62, 0.78), (0.34, 0.44)],
    "ear_width":   [(0.24, 0.34), (0.24, 0.30), (0.15, 0.19)],  # half of it
    "ear_tip":     [(0.00, 0.00), (0.35, 0.55), (0.15, 0.30)],  # the dark share of a pointed ear
    "leg":         [(0.28, 0.46), (0.26, 0.34), (0.46, 0.58)],
    "depth":       [(0.38, 0.46), (0.26, 0.31), (0.36, 0.42)],  # of the chest
    "head_height": [(0.22, 0.34), (0.16, 0.28), (0.06, 0.22)],  # above the back
    "socks":       [(0.00, 0.00), (0.50, 0.70), (0.00, 0.00)],  # the dark share of a leg
    "saddle":      [(0.00, 1.00), (0.00, 0.00), (0.60, 1.00)],  # from 0.7 on, the back is dark
    "paleness":    [(0.25, 0.95), (0.85, 1.00), (0.50, 0.80)],  # from the coat (0) to white (1)
    "darkness":    [(0.30, 0.80), (0.80, 1.00), (0.40, 0.70)],  # from the coat (0) to DARK (1)
}


def random_look(target: int, rng: np.random.Generator) -> Look:
    """Draw the look of an animal of a class."""
    look = Look(species=CLASS_NAMES[target], eye=EYES[target], collar=None)
    for name, ranges in MEASURES.items():
        setattr(look, name, rng.uniform(*ranges[target]))
    off = rng.normal(0, 9) + rng.normal(0, 4, 3)  # lighter or darker, and of another tone
    look.coat = tuple((rng.choice(COATS[target]) + off).clip(20, 250).astype(int).tolist())
    look.pale = mix(look.coat, WHITE, look.paleness)  # cheeks, chest, belly
    look.dark = mix(look.coat, DARK, look.darkness)  # soft ears, tips of others, socks, saddle
    if look.species == "dog":
        look.floppy = rng.random() < 0.65  # the ears hang; otherwise they fold
        look.marking = rng.choice(["none", "blaze", "patch"])
        look.tongue = rng.random() < 0.4  # hangs out
        look.collar = COLLARS[rng.integers(len(COLLARS))] if rng.random() < 0.4 else None
    return look
