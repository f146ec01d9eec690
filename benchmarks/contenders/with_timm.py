"""timm's datasets, loaders, optimizer and loss in the loop of its train.py, with bf16.

A rotation is put into its transforms, which know none outside of AutoAugment. Its loader leaves
out what does not fill a batch.
"""

import argparse

import torch
from timm.data import ImageDataset, create_loader
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from torchvision.transforms import RandomRotation

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


def make_loaders(args: argparse.Namespace) -> tuple[torch.utils.data.DataLoader, ...]:
    """Of the training and of the validation pictures: uint8 collated, normalised here."""
    common = {
        "input_size": (3, args.image_size, args.image_size),
        "batch_size": args.batch_size,
        "interpolation": "bilinear",
        "mean": MEAN,
        "std": STD,
        "num_workers": args.workers,
        "device": torch.device("cpu"),
    }
    train_set = ImageDataset(str(args.root / "train"))
    train_loader = create_loader(
        train_set, is_training=True, scale=(0.5, 1.0), hflip=0.5, color_jitter=0.2, **common
    )
    train_set.transform.transforms.insert(2, RandomRotation(10))  # after crop and mirror
    val_set = ImageDataset(str(args.root / "val"))
    return train_loader, create_loader(val_set, crop_pct=1.0, crop_mode="squash", **common)


def main() -> None:
    watch, args = Stopwatch(), arguments()
    train_loader, val_loader = make_loaders(args)
    model = small_cnn(args.root).to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(
        model, opt="sgd", lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    criterion = LabelSmoothingCrossEntropy(smoothing=0.1)  # the default of its train.py
    bf16 = torch.autocast("cpu", torch.bfloat16)
    watch.begins()
    for _ in range(args.epochs):
        model.train()
        for images, target in train_loader:
            images = images.contiguous(memory_format=torch.channels_last)
            with bf16:
                loss = criterion(model(images), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step_done(len(images))
        watch.training_ends()
        model.eval()
        correct = num_val = 0
        with torch.inference_mode(), bf16:
            for images, target in val_loader:
                logits = model(images.contiguous(memory_format=torch.channels_last))
                correct += int((logits.argmax(1) == target).sum())
                num_val += len(images)
        watch.epoch_ends(num_val)
    watch.report()


if __name__ == "__main__":
    main()
