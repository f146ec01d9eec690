"""Code for all contenders: their start, hyperparameters, the log, and a training loop."""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossent.device import choose_precision
from models import build_model

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
HAS_BF16 = choose_precision("auto", torch.device("cpu")) == "bf16"  # on other CPUs bf16 is slower
LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 5e-4
IMAGE_SIZE, BATCH_SIZE, NUM_WORKERS = 64, 32, 2
Batches = Iterable[tuple[Tensor, Tensor]]


class Log:
    """A metrics.jsonl like crossent's: images/s of the training steps, E and recall, per epoch."""

    def __init__(self, path: Path) -> None:
        self.path, self.num_epochs = path, 0
        self.answers: list[tuple[Tensor, Tensor]] = []  # logits and labels of one validation

    def epoch_begins(self) -> None:
        self.began = time.perf_counter()

    def training_ends(self, num_images: int) -> None:
        self.images_per_s = num_images / (time.perf_counter() - self.began)

    def epoch_ends(self) -> None:
        """Write the line of the epoch, after its validation."""
        self.num_epochs += 1
        logits, labels = (torch.cat(parts) for parts in zip(*self.answers, strict=True))
        self.answers.clear()
        right = (logits.argmax(1) == labels).double()
        recalls = [right[labels == label].mean().item() for label in labels.unique()]
        E = F.cross_entropy(logits.double(), labels).item()
        val = {"E": E, "balanced_accuracy": sum(recalls) / len(recalls)}
        record = {"kind": "epoch", "images_per_s": self.images_per_s, "val": val}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def start() -> tuple[argparse.Namespace, nn.Module, Log]:
    """Return the arguments of this process, the model of configs/default.yaml and the log."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path, help="a folder with train/CLASS and val/CLASS")
    parser.add_argument("metrics", type=Path, help="the log to write")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--tuned", action="store_true", help="use the usual accelerations")
    args = parser.parse_args()
    model = build_model("small_cnn", len(list((args.root / "train").iterdir())), width=32)
    return args, model, Log(args.metrics)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY)


def train(
    model: nn.Module,
    loaders: tuple[Batches, Batches],
    optimizer: torch.optim.Optimizer,
    criterion: Callable[[Tensor, Tensor], Tensor],
    log: Log,
    epochs: int,
    next_epoch: Callable[[int], object],
    *,
    fast: bool,
) -> None:
    """Train and validate as PyTorch's tutorials do.

    `next_epoch` sets the rate of the epoch with a number. `fast` means channels_last, and bf16 if
    the CPU computes in it.
    """
    layout = torch.channels_last if fast else torch.contiguous_format
    bf16 = torch.autocast("cpu", torch.bfloat16, enabled=fast and HAS_BF16)
    model = model.to(memory_format=layout)
    train_loader, val_loader = loaders
    for epoch in range(epochs):
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
        with torch.inference_mode(), bf16:
            for images, target in val_loader:
                log.answers.append((model(images.to(memory_format=layout)), target))
        log.epoch_ends()
        next_epoch(epoch + 1)
