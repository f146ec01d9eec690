"""A plain PyTorch loop, as its tutorials write it: ImageFolder, DataLoader, transforms v2, SGD with
a learning rate that falls along half a cosine.

With --tuned it has what PyTorch's performance guide adds: bf16, channels_last, persistent workers.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.contenders import common


def make_loaders(root: Path, persistent: bool) -> tuple[common.Batches, common.Batches]:
    """Make the loaders of the training and of the validation pictures."""
    to_float = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(common.MEAN, common.STD)]
    augment = [
        v2.RandomResizedCrop(common.IMAGE_SIZE, scale=(0.5, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandomRotation(10),
        v2.ColorJitter(0.2, 0.2, 0.2),
    ]
    resize = v2.Resize((common.IMAGE_SIZE, common.IMAGE_SIZE), antialias=True)
    train_set = ImageFolder(str(root / "train"), v2.Compose([v2.ToImage(), *augment, *to_float]))
    val_set = ImageFolder(str(root / "val"), v2.Compose([v2.ToImage(), resize, *to_float]))
    workers: dict[str, Any] = {"num_workers": common.NUM_WORKERS, "persistent_workers": persistent}
    return (
        DataLoader(train_set, common.BATCH_SIZE, shuffle=True, **workers),
        DataLoader(val_set, common.BATCH_SIZE, **workers),
    )


def main() -> None:
    args, model, log = common.start()
    optimizer = common.sgd(model)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    parts = (model, make_loaders(args.root, args.tuned), optimizer, F.cross_entropy, log)
    common.train(*parts, args.epochs, lambda _: scheduler.step(), fast=args.tuned)


if __name__ == "__main__":
    main()
