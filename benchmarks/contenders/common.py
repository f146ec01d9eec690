"""What the contenders share: arguments, model, hyperparameters, the log, and the loop of two."""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from models import build_model

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 5e-4
Batches = Iterable[tuple[Tensor, Tensor]]


class Log:
    """A metrics.jsonl like crossent's: the images/s of the training steps of each epoch."""

    def __init__(self, path: Path) -> None:
        self.path, self.epoch = path, 0

    def epoch_begins(self) -> None:
        self.began = time.perf_counter()

    def training_ends(self, num_images: int) -> None:
        self.images_per_s = num_images / (time.perf_counter() - self.began)

    def epoch_ends(self) -> None:
        """Write the line of the epoch, after its validation."""
        self.epoch += 1
        record = {"kind": "epoch", "epoch": self.epoch, "images_per_s": self.images_per_s}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path, help="a folder with train/CLASS and val/CLASS")
    parser.add_argument("metrics", type=Path, help="the log to write")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--image-size", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tuned", action="store_true", help="with the usual accelerations")
    return parser.parse_args()


def small_cnn(root: Path) -> nn.Module:
    """Build the model of configs/default.yaml."""
    return build_model("small_cnn", len(list((root / "train").iterdir())), width=32)


def train(
    model: nn.Module,
    loaders: tuple[Batches, Batches],
    optimizer: torch.optim.Optimizer,
    criterion: Callable[[Tensor, Tensor], Tensor],
    log: Log,
    epochs: int,
    *,
    fast: bool,
) -> None:
    """Train and validate as PyTorch's tutorials do; fast: with bf16 and channels_last."""
    layout = torch.channels_last if fast else torch.contiguous_format
    bf16 = torch.autocast("cpu", torch.bfloat16, enabled=fast)
    model = model.to(memory_format=layout)
    train_loader, val_loader = loaders
    for _ in range(epochs):
        log.epoch_begins()
        model.train()
        num_images = 0
        for images, target in train_loader:
            images = images.to(memory_format=layout)
            with bf16:
                loss = criterion(model(images), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            num_images += len(images)
        log.training_ends(num_images)
        model.eval()
        correct = 0
        with torch.inference_mode(), bf16:
            for images, target in val_loader:
                logits = model(images.to(memory_format=layout))
                correct += int((logits.argmax(1) == target).sum())
        log.epoch_ends()
