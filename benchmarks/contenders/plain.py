"""A plain PyTorch loop, as its tutorials write it: ImageFolder, DataLoader, transforms v2, SGD.

With --tuned it has what PyTorch's performance guide adds: bf16, channels_last, workers that stay.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.contenders.common import (
    LR,
    MEAN,
    MOMENTUM,
    STD,
    WEIGHT_DECAY,
    Stopwatch,
    arguments,
    small_cnn,
)

Loader = DataLoader[tuple[Tensor, Tensor]]


def make_loaders(args: argparse.Namespace, persistent: bool) -> tuple[Loader, Loader]:
    """Of the training and of the validation pictures."""
    size = args.image_size
    to_float = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    train_transform = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomResizedCrop(size, scale=(0.5, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomRotation(10),
            v2.ColorJitter(0.2, 0.2, 0.2),
            *to_float,
        ]
    )
    val_transform = v2.Compose([v2.ToImage(), v2.Resize((size, size), antialias=True), *to_float])
    train_set = ImageFolder(str(args.root / "train"), train_transform)
    val_set = ImageFolder(str(args.root / "val"), val_transform)
    workers, batch_size = args.workers, args.batch_size
    return (
        DataLoader(
            train_set, batch_size, shuffle=True, num_workers=workers, persistent_workers=persistent
        ),
        DataLoader(val_set, batch_size, num_workers=workers, persistent_workers=persistent),
    )


def main() -> None:
    watch, args = Stopwatch(), arguments()
    bf16 = torch.autocast("cpu", torch.bfloat16, enabled=args.tuned)
    layout = torch.channels_last if args.tuned else torch.contiguous_format
    train_loader, val_loader = make_loaders(args, persistent=args.tuned)
    model = small_cnn(args.root).to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY)
    watch.begins()
    for _ in range(args.epochs):
        model.train()
        for images, target in train_loader:
            images = images.to(memory_format=layout)
            with bf16:
                loss = F.cross_entropy(model(images), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step_done(len(images))
        watch.training_ends()
        model.eval()
        correct = num_val = 0
        with torch.no_grad(), bf16:
            for images, target in val_loader:
                logits = model(images.to(memory_format=layout))
                correct += int((logits.argmax(1) == target).sum())
                num_val += len(images)
        watch.epoch_ends(num_val)
    watch.report()


if __name__ == "__main__":
    main()
