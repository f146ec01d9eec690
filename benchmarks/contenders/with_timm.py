"""timm's datasets, loaders, optimizer, schedule and loss in the loop of its train.py, with bf16.

A rotation is added to its transforms, which have none outside of AutoAugment. Its loader drops the
last, incomplete batch.
"""

import argparse

import torch
from timm.data import ImageDataset, create_loader
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torchvision.transforms import RandomRotation

from benchmarks.contenders import common


def make_loaders(args: argparse.Namespace) -> tuple[common.Batches, common.Batches]:
    """Make the loaders of the training and of the validation pictures."""
    both = {
        "input_size": (3, args.image_size, args.image_size),
        "batch_size": args.batch_size,
        "interpolation": "bilinear",
        "mean": common.MEAN,
        "std": common.STD,
        "num_workers": args.workers,
        "device": torch.device("cpu"),
    }
    train_set = ImageDataset(str(args.root / "train"))
    train_loader = create_loader(
        train_set, is_training=True, scale=(0.5, 1.0), hflip=0.5, color_jitter=0.2, **both
    )
    train_set.transform.transforms.insert(2, RandomRotation(10))  # after crop and mirror
    val_set = ImageDataset(str(args.root / "val"))
    return train_loader, create_loader(val_set, crop_pct=1.0, crop_mode="squash", **both)


def main() -> None:
    args = common.arguments()
    model = common.small_cnn(args.root)
    optimizer = create_optimizer_v2(
        model, opt="sgd", lr=common.LR, momentum=common.MOMENTUM, weight_decay=common.WEIGHT_DECAY
    )
    criterion = LabelSmoothingCrossEntropy(smoothing=0.1)  # the default of its train.py
    scheduler = CosineLRScheduler(  # its train.py's default, with 5 epochs of warm-up
        optimizer, t_initial=args.epochs, warmup_t=5, warmup_lr_init=1e-5
    )
    log = common.Log(args.metrics)
    common.train(
        model, make_loaders(args), optimizer, criterion, log, args.epochs, scheduler.step, fast=True
    )


if __name__ == "__main__":
    main()
