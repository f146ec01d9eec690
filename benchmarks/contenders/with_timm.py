"""timm's datasets, loaders, optimizer, schedule and loss in the loop of its train.py, with bf16.

A rotation is added to its transforms, which have none outside of AutoAugment. Its loader drops the
last, incomplete batch.
"""

from pathlib import Path

import torch
from timm.data import ImageDataset, create_loader
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torchvision.transforms import RandomRotation

from benchmarks.contenders import common


def make_loaders(root: Path) -> tuple[common.Batches, common.Batches]:
    """Make the loaders of the training and of the validation pictures."""
    both = {
        "input_size": (3, common.IMAGE_SIZE, common.IMAGE_SIZE), "interpolation": "bilinear",
        "mean": common.MEAN, "std": common.STD, "device": torch.device("cpu"),
        "batch_size": common.BATCH_SIZE, "num_workers": common.NUM_WORKERS,
    }  # fmt: skip
    train_set = ImageDataset(str(root / "train"))
    train_loader = create_loader(
        train_set, is_training=True, scale=(0.5, 1.0), hflip=0.5, color_jitter=0.2, **both
    )
    train_set.transform.transforms.insert(2, RandomRotation(10))  # after crop and mirror
    val_set = ImageDataset(str(root / "val"))
    return train_loader, create_loader(val_set, crop_pct=1.0, crop_mode="squash", **both)


def main() -> None:
    args, model, log = common.start()
    optimizer = create_optimizer_v2(
        model, opt="sgd", lr=common.LR, momentum=common.MOMENTUM, weight_decay=common.WEIGHT_DECAY
    )
    criterion = LabelSmoothingCrossEntropy(smoothing=0.1)  # the default of its train.py
    scheduler = CosineLRScheduler(  # its train.py's default, with 5 epochs of warm-up
        optimizer, t_initial=args.epochs, warmup_t=5, warmup_lr_init=1e-5
    )
    parts = (model, make_loaders(args.root), optimizer, criterion, log)
    common.train(*parts, args.epochs, scheduler.step, fast=True)


if __name__ == "__main__":
    main()
