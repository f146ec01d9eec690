"""What all contenders share: the arguments, the clock, the model, the line of results."""

import argparse
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch reads the environment once, when it is imported: see crossent.cli
    from torch import nn

STARTED = "CROSSENT_BENCHMARK_STARTED"  # the parent's monotonic clock when it started the process
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 5e-4


@dataclass
class Stopwatch:
    """When training and validation of each epoch ended, and how many pictures they took.

    An epoch begins where the one before it ended: what is done in between counts as training.
    """

    started: float = field(default_factory=lambda: float(os.environ[STARTED]))
    first_step_s: float | None = None
    images: list[int] = field(default_factory=list)  # trained in each epoch
    train_s: list[float] = field(default_factory=list)
    num_val: int = 0
    val_s: list[float] = field(default_factory=list)
    ended_s: list[float] = field(default_factory=list)  # since the process was started
    _last: float = 0.0
    _images: int = 0

    def begins(self) -> None:
        """Everything is ready for the first epoch."""
        self._last = time.monotonic()

    def step_done(self, num_images: int) -> None:
        self._images += num_images
        if self.first_step_s is None:
            self.first_step_s = time.monotonic() - self.started

    def training_ends(self) -> None:
        self.images.append(self._images)
        self._images = 0
        self.train_s.append(self._lap())

    def epoch_ends(self, num_val: int) -> None:
        self.num_val = num_val
        self.val_s.append(self._lap())
        self.ended_s.append(self._last - self.started)

    def _lap(self) -> float:
        now = time.monotonic()
        lap, self._last = now - self._last, now
        return lap

    def report(self) -> None:
        """Print what `benchmarks.throughput` reads."""
        keys = ("first_step_s", "images", "train_s", "num_val", "val_s", "ended_s")
        print("\n" + json.dumps({key: getattr(self, key) for key in keys}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path, help="a folder with train/CLASS and val/CLASS")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tuned", action="store_true", help="with the usual accelerations")
    parser.add_argument("--cache", type=Path, help="where decoded pictures are kept, if at all")
    return parser.parse_args()


def small_cnn(root: Path) -> "nn.Module":
    """The model of configs/default.yaml."""
    from models import build_model

    return build_model("small_cnn", num_classes(root), width=32)


def num_classes(root: Path) -> int:
    return len(list((root / "train").iterdir()))
