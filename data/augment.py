"""Random changes of training pictures: drawn per sample, applied per batch."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from data.preprocess import Preprocessing
from data.sampler import generator

DRAWS = 2  # purpose of the generator; `EpochSampler` uses 0 and 1
NUM_DRAWS = 9  # area, aspect, x, y, mirror, angle, brightness, contrast, saturation
Floats = npt.NDArray[np.float32]
GREY = (0.299, 0.587, 0.114)  # luma of RGB, ITU-R BT.601


@dataclass(frozen=True)
class Augmentation:
    """The limits of the random changes of a training picture; the defaults change nothing."""

    crop: float = 1.0  # smallest share of the area that a crop keeps
    aspect: float = 1.0  # largest ratio by which a crop is stretched
    flip: float = 0.0  # probability of mirroring left and right
    rotation: float = 0.0  # largest angle in degrees, in both directions
    brightness: float = 0.0  # largest relative change of the pixels
    contrast: float = 0.0  # the same for the difference between each pixel and the mean grey
    saturation: float = 0.0  # the same for the difference between each pixel and its grey
    mixup: float = 0.0  # alpha of Beta(alpha, alpha); 0 mixes nothing

    def draw(self, seed: int, epoch: int, num_slots: int) -> tuple[Floats, Floats]:
        """Draw all random numbers of an epoch; row i belongs to slot i of `EpochSampler`.

        Shape:
            returns (M, NUM_DRAWS) in [0, 1), and (M,) in [1/2, 1]: the picture's share in mixup.
        """
        rng = generator(seed, epoch, DRAWS)
        uniform = rng.random((num_slots, NUM_DRAWS), dtype=np.float32)
        if self.mixup == 0:
            return uniform, np.ones(num_slots, np.float32)
        lam = rng.beta(self.mixup, self.mixup, num_slots)
        return uniform, np.maximum(lam, 1 - lam).astype(np.float32)

    def changes(self, uniform: Tensor) -> list[Tensor]:
        """Convert random numbers (M, NUM_DRAWS) to the changes of M pictures, one row for each.

        Shape:
            returns (M, 2, 3) of `affine_matrices`, (M, 3, 3) and (M, 1) of `colour_matrices`.
        """
        return [affine_matrices(uniform, self), *colour_matrices(uniform, self)]


def augment(images: Tensor, changes: list[Tensor], preprocessing: Preprocessing) -> Tensor:
    """Crop, stretch, mirror, rotate, change colours and normalise, with one resampling.

    Args:
        changes: of these pictures, from `Augmentation.changes`.

    Shape:
        (N, S, S, 3) uint8 to (N, 3, image_size, image_size) float32, channels last in memory.
    """
    affine, colour, mean_weight = changes
    size = preprocessing.image_size
    # the same as F.affine_grid, but several times faster
    grid = affine.flatten(0, 1) @ pixel_centres(size, images.device)  # (2 N, size * size)
    grid = grid.view(-1, 2, size, size).permute(0, 2, 3, 1)  # (N, size, size, 2)
    pixels = images.permute(0, 3, 1, 2).float()
    pixels = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    flat = pixels.flatten(2)  # (N, 3, size * size)
    scale, offset = preprocessing.scale_and_shift(images.device)
    grey = flat.mean(dim=2) @ torch.tensor(GREY, device=images.device)  # (N,)
    shift = mean_weight * grey.unsqueeze(1) * scale + offset  # (N, 3)
    changed = torch.baddbmm(shift.unsqueeze(2), scale.view(3, 1) * colour, flat)
    return changed.view_as(pixels).contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=4)
def pixel_centres(size: int, device: torch.device) -> Tensor:
    """Return (3, size * size): the centre (x, y, 1) of each pixel, from -1 to 1."""
    centre = (2 * torch.arange(size, device=device) + 1) / size - 1
    y, x = torch.meshgrid(centre, centre, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)]).flatten(1)


def affine_matrices(uniform: Tensor, augmentation: Augmentation) -> Tensor:
    """Return (N, 2, 3): maps from (x, y) in the result to (x, y) in the picture, from -1 to 1.

    The crop has the centre (x, y) and half sides (w, h), and is rotated around its centre.
    """
    a = augmentation
    area, aspect, x, y, mirror, angle = uniform[:, :6].unbind(1)
    side = (a.crop + (1 - a.crop) * area).sqrt()
    stretch = torch.exp((aspect - 0.5) * math.log(a.aspect))  # up to sqrt(aspect) either way
    w, h = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
    x, y = (2 * x - 1) * (1 - w), (2 * y - 1) * (1 - h)
    angle = (2 * angle - 1) * math.radians(a.rotation)
    direction = torch.where(mirror < a.flip, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    rows = [cos * w * direction, -sin * h, x, sin * w * direction, cos * h, y]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def colour_matrices(uniform: Tensor, augmentation: Augmentation) -> tuple[Tensor, Tensor]:
    """Return brightness, contrast and saturation as a linear map of RGB: (N, 3, 3) and (N, 1).

    The change is x -> b (m + c (g(x) + s (x - g(x)) - m)), where g(x) is the grey of a pixel x, m
    the grey of the mean colour of the picture, and b, c and s are factors around 1. So x is
    multiplied by the first result, and m by the second, b (1 - c).
    """
    limits = (augmentation.brightness, augmentation.contrast, augmentation.saturation)
    factors = 1 + (2 * uniform[:, 6:9] - 1) * torch.tensor(limits, device=uniform.device)
    b, c, s = factors.view(-1, 3, 1, 1).unbind(1)  # (N, 1, 1) each
    to_grey = torch.tensor(GREY, device=uniform.device).expand(3, 3)  # RGB to (g, g, g)
    matrix = b * c * (s * torch.eye(3, device=uniform.device) + (1 - s) * to_grey)
    return matrix, (b * (1 - c)).squeeze(2)
