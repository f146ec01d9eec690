"""A plain PyTorch loop, as its tutorials write it: ImageFolder, DataLoader, transforms v2, SGD.

With --tuned it has what PyTorch's performance guide adds: bf16, channels_last, workers that stay.
"""

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.contenders.common import Stopwatch, arguments, small_cnn

NORMALISE = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.25] * 3)]


def main() -> None:
    watch, args = Stopwatch(), arguments()
    size = args.image_size
    bf16 = torch.autocast("cpu", torch.bfloat16, enabled=args.tuned)
    layout = torch.channels_last if args.tuned else torch.contiguous_format
    train_transform = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomResizedCrop(size, scale=(0.5, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomRotation(10),
            v2.ColorJitter(0.2, 0.2, 0.2),
            *NORMALISE,
        ]
    )
    val_transform = v2.Compose([v2.ToImage(), v2.Resize((size, size), antialias=True), *NORMALISE])
    train_set = ImageFolder(str(args.root / "train"), train_transform)
    val_set = ImageFolder(str(args.root / "val"), val_transform)
    train_loader: DataLoader[tuple[torch.Tensor, int]] = DataLoader(
        train_set,
        args.batch_size,
        shuffle=True,
        num_workers=args.workers,
        persistent_workers=args.tuned,
    )
    val_loader: DataLoader[tuple[torch.Tensor, int]] = DataLoader(
        val_set, args.batch_size, num_workers=args.workers, persistent_workers=args.tuned
    )
    model = small_cnn(args.root).to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    watch.num_images = len(train_set)
    for _ in range(args.epochs):
        watch.epoch_begins()
        model.train()
        for images, target in train_loader:
            images = images.to(memory_format=layout)
            with bf16:
                loss = F.cross_entropy(model(images), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step_done()
        watch.training_ends()
        model.eval()
        correct = 0
        with torch.no_grad(), bf16:
            for images, target in val_loader:
                logits = model(images.to(memory_format=layout))
                correct += int((logits.argmax(1) == target).sum())
        watch.epoch_ends()
    watch.report()


if __name__ == "__main__":
    main()
