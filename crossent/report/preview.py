"""A batch as the model sees it, augmented and mixed, with its labels: preview.png, and the report.

A wrong label, a crop that loses the object or a mixup too strong shows here, before hours of
training.
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from crossent.build import make_batches, make_data
from crossent.config import Settings
from crossent.files import write_atomic
from crossent.training.distributed import ALONE
from data.images import Data

COLUMNS, ROWS = 8, 4


def first_batch(settings: Settings, data: Data, most: int) -> list[tuple[Image.Image, str]]:
    """Return pictures of the first training batch with their labels, mixed ones as shares."""
    batches = make_batches(settings, data, torch.device("cpu"), ALONE)
    batch = next(batches.epoch(0))
    scale, shift = batches.preprocessing.scale_and_shift(batches.device)
    pixels = (batch.images[:most].permute(0, 2, 3, 1) - shift) / scale  # (B, S, S, 3)
    images = pixels.round().clamp(0, 255).byte().numpy()
    captions = [in_words(target, data.class_names) for target in batch.target[:most]]
    return list(zip(map(Image.fromarray, images), captions, strict=True))


def in_words(target: Tensor, class_names: list[str]) -> str:
    """Return "fox" for a class index, "fox 70%, dog 30%" for probabilities (K,)."""
    if target.ndim == 0:
        return class_names[int(target)]
    shares = [(float(share), name) for share, name in zip(target, class_names, strict=True)]
    return ", ".join(f"{name} {share:.0%}" for share, name in sorted(shares)[::-1] if share > 0.005)


def write_preview(settings: Settings, path: Path) -> int:
    """Write the pictures as a PNG and return how many they are."""
    shown = first_batch(settings, make_data(settings), COLUMNS * ROWS)
    figure = Figure(figsize=(2 * COLUMNS, 2.2 * ROWS), dpi=80, layout="constrained")
    for axes in figure.subplots(ROWS, COLUMNS).flat:
        axes.set_axis_off()
    for axes, (image, caption) in zip(figure.axes, shown, strict=False):
        axes.imshow(np.asarray(image))
        axes.set_title(caption.replace("$", r"\$"), fontsize=9, wrap=True)
    write_atomic(path, lambda temporary: figure.savefig(temporary, format="png"))
    return len(shown)
