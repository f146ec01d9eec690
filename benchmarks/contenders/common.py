"""What all contenders share: the arguments, the clock, the model, the line of results."""

import argparse
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from models import build_model

STARTED = "CROSSENT_BENCHMARK_STARTED"  # the parent's monotonic clock when it started the process


@dataclass
class Stopwatch:
    """When each epoch ended, and what of it was training."""

    started: float = field(default_factory=lambda: float(os.environ[STARTED]))
    num_images: int = 0
    first_step_s: float | None = None
    train_s: list[float] = field(default_factory=list)  # of each epoch, without validation
    ended_s: list[float] = field(default_factory=list)  # since the process was started
    _epoch: float = 0.0

    def epoch_begins(self) -> None:
        self._epoch = time.monotonic()

    def step_done(self) -> None:
        if self.first_step_s is None:
            self.first_step_s = time.monotonic() - self.started

    def training_ends(self) -> None:
        self.train_s.append(time.monotonic() - self._epoch)

    def epoch_ends(self) -> None:
        self.ended_s.append(time.monotonic() - self.started)

    def report(self) -> None:
        """Print what `benchmarks.throughput` reads."""
        keys = ("num_images", "first_step_s", "train_s", "ended_s")
        print(json.dumps({key: getattr(self, key) for key in keys}))


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


def small_cnn(root: Path) -> nn.Module:
    """The model of configs/default.yaml."""
    return build_model("small_cnn", len(list((root / "train").iterdir())), width=32)
