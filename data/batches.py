"""Batches ready for the model: gathered by sample id, augmented on the device, mixed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data.augment import Augmentation, augment
from data.images import ImageSet
from data.order import EpochOrder, Ids
from data.preprocess import Preprocessing


@dataclass(frozen=True)
class Batch:
    """Shape: images (B, 3, S, S) float32; target (B,) class indices or (B, K) probabilities."""

    sample_ids: Ids  # (B,) rows of the image set
    images: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.sample_ids)


@dataclass(frozen=True)
class TrainBatches:
    """The training pictures as batches, epoch by epoch; the same for the same (seed, epoch)."""

    image_set: ImageSet
    num_classes: int
    order: EpochOrder
    augmentation: Augmentation
    preprocessing: Preprocessing
    device: torch.device

    def __len__(self) -> int:
        """Batches an epoch."""
        return self.order.num_batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on, as if the earlier ones had been made."""
        seed, num_slots = self.order.seed, self.order.num_slots
        sample_ids = self.order.sample_ids(epoch)
        draws = self.augmentation.draw(seed, epoch, num_slots)
        for slots in self.order.batches(epoch)[start:]:
            ids = sample_ids[slots]
            uniform = torch.from_numpy(draws.uniform[slots]).to(self.device)
            images = augment(
                to_device(self.image_set, ids, self.device),
                uniform,
                self.augmentation,
                self.preprocessing,
            )
            target = torch.from_numpy(self.image_set.labels[ids]).to(self.device)
            if self.augmentation.mixup > 0:
                lam = torch.from_numpy(draws.lam[slots]).to(self.device)
                images, target = mix(images, target, lam, self.num_classes)
            yield Batch(ids, images, target)


def mix(images: Tensor, target: Tensor, lam: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Mixup: each picture and its label blended with the next one's in the batch.

    x_i <- lam_i x_i + (1 - lam_i) x_(i+1), and t_i likewise: the soft t_k of the article's (5.2).
    Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization".

    Shape:
        images (B, C, H, W), target (B,), lam (B,); returns the same and target (B, K).
    """
    probs = F.one_hot(target, num_classes).float()  # (B, K)
    share = lam.view(-1, 1)
    mixed = torch.lerp(images.roll(-1, 0), images, share.view(-1, 1, 1, 1))
    return mixed, torch.lerp(probs.roll(-1, 0), probs, share)


def val_batches(
    image_set: ImageSet, preprocessing: Preprocessing, device: torch.device, batch_size: int = 128
) -> Iterator[Batch]:
    """Every picture once, in order, unchanged but for the normalisation."""
    for first in range(0, len(image_set), batch_size):
        ids = np.arange(first, min(first + batch_size, len(image_set)))
        images = preprocessing.normalise(to_device(image_set, ids, device))
        yield Batch(ids, images, torch.from_numpy(image_set.labels[ids]).to(device))


def to_device(image_set: ImageSet, ids: Ids, device: torch.device) -> Tensor:
    """(B, S, S, 3) uint8: a quarter of the bytes that floats would send to a GPU."""
    pixels = torch.from_numpy(image_set.images[ids])
    if device.type == "cuda":
        return pixels.pin_memory().to(device, non_blocking=True)
    return pixels.to(device)
