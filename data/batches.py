"""Batches for the model: gathered by sample id, augmented on the device, mixed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data.augment import Augmentation, augment
from data.images import ImageSet
from data.preprocess import Preprocessing
from data.sampler import EpochSampler, Ids


@dataclass(frozen=True)
class Batch:
    """B samples: those of this process, if several share a batch.

    Shape:
        images: (B, 3, S, S) float32; target: (B,) class indices or (B, K) probabilities.
    """

    images: Tensor
    target: Tensor
    sample_ids: Ids  # (B,) rows of the image set

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class TrainBatches:
    """The batches of every training epoch, a pure function of (seed, epoch)."""

    image_set: ImageSet
    num_classes: int
    order: EpochSampler
    augmentation: Augmentation
    preprocessing: Preprocessing
    device: torch.device
    rank: int = 0  # of this process, which makes its own part of every batch
    num_ranks: int = 1  # processes

    def __len__(self) -> int:
        return self.order.num_batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on."""
        sample_ids = self.order.sample_ids(epoch)
        uniform, lam = self.augmentation.draw(self.order.seed, epoch, self.order.num_slots)
        changes = self.augmentation.changes(torch.from_numpy(uniform).to(self.device))
        for batch in self.order.batches(epoch)[start:]:
            first = len(batch) * self.rank // self.num_ranks
            last = len(batch) * (self.rank + 1) // self.num_ranks
            # mixup blends each sample with the next one of the whole batch
            slots = batch[np.arange(first, last + bool(self.augmentation.mixup)) % len(batch)]
            ids, rows = sample_ids[slots], torch.from_numpy(slots).to(self.device)
            pixels = to_device(self.image_set, ids, self.device)
            images = augment(pixels, [change[rows] for change in changes], self.preprocessing)
            target = torch.from_numpy(self.image_set.labels[ids]).to(self.device)
            if self.augmentation.mixup:
                own_share = torch.from_numpy(lam[slots[:-1]]).to(self.device)
                images, target = mix(images, target, own_share, self.num_classes)
            yield Batch(images, target, ids[: len(images)])


def mix(images: Tensor, target: Tensor, lam: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Blend each of the first B pictures and labels with the next one (mixup).

    x_i <- lam_i x_i + (1 - lam_i) x_(i+1), and t_i likewise: the soft t_k of the article's (5.2).

    Shape:
        images (B + 1, 3, S, S), target (B + 1,) and lam (B,) to (B, 3, S, S) and (B, K).

    Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization".
    """
    probs = F.one_hot(target, num_classes).float()  # (B + 1, K)
    share = lam.view(-1, 1)
    mixed = torch.lerp(images[1:], images[:-1], share.view(-1, 1, 1, 1))
    return mixed, torch.lerp(probs[1:], probs[:-1], share)


def val_batches(
    image_set: ImageSet,
    preprocessing: Preprocessing,
    device: torch.device,
    batch_size: int = 128,
    rows: range | None = None,
) -> Iterator[Batch]:
    """Yield the pictures in order, normalised; `rows` selects some of them."""
    rows = range(len(image_set)) if rows is None else rows
    for first in range(rows.start, rows.stop, batch_size):
        ids = np.arange(first, min(first + batch_size, rows.stop))
        images = preprocessing.normalise(to_device(image_set, ids, device))
        yield Batch(images, torch.from_numpy(image_set.labels[ids]).to(device), ids)


def to_device(image_set: ImageSet, ids: Ids, device: torch.device) -> Tensor:
    """Return (B, S, S, 3) uint8 on the device: a quarter of the bytes of floats."""
    pixels = torch.from_numpy(image_set.images[ids])
    if device.type == "cuda":
        return pixels.pin_memory().to(device, non_blocking=True)
    return pixels.to(device)
