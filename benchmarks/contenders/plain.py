"""A plain PyTorch loop, as its tutorials write it: ImageFolder, DataLoader, transforms v2, SGD with
a learning rate that falls along half a cosine.

With --tuned it has what PyTorch's performance guide adds: bf16, channels_last, persistent workers.
"""

import argparse
import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.contenders import common

Loader = DataLoader[tuple[Tensor, Tensor]]


def make_loaders(args: argparse.Namespace, persistent: bool) -> tuple[Loader, Loader]:
    """Make the loaders of the training and of the validation pictures."""
    size = args.image_size
    to_float = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(common.MEAN, common.STD)]
    augment = [
        v2.RandomResizedCrop(size, scale=(0.5, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandomRotation(10),
        v2.ColorJitter(0.2, 0.2, 0.2),
    ]
    resize = v2.Resize((size, size), antialias=True)
    train_set = ImageFolder(
        str(args.root / "train"), v2.Compose([v2.ToImage(), *augment, *to_float])
    )
    val_set = ImageFolder(str(args.root / "val"), v2.Compose([v2.ToImage(), resize, *to_float]))
    workers = {"num_workers": args.workers, "persistent_workers": persistent}
    return (
        DataLoader(train_set, args.batch_size, shuffle=True, **workers),
        DataLoader(val_set, args.batch_size, **workers),
    )


def main() -> None:
    args = common.arguments()
    model = common.small_cnn(args.root)
    optimizer = torch.optim.SGD(
        model.parameters(), common.LR, common.MOMENTUM, weight_decay=common.WEIGHT_DECAY
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda epoch: (1 + math.cos(math.pi * epoch / args.epochs)) / 2
    )

    def next_epoch(epoch: int) -> None:
        if epoch:
            scheduler.step()

    loaders, log = make_loaders(args, persistent=args.tuned), common.Log(args.metrics)
    common.train(
        model, loaders, optimizer, F.cross_entropy, log, args.epochs, next_epoch, fast=args.tuned
    )


if __name__ == "__main__":
    main()
