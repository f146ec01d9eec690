"""Random changes of training pictures, drawn per sample and applied to a whole batch at once."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from data.preprocess import Preprocessing
from data.sampler import generator

DRAWS = 2  # the purpose of the generator; EpochSampler has 0 and 1
NUM_DRAWS = 9  # area, aspect, x, y, mirror, angle, brightness, contrast, saturation
Floats = npt.NDArray[np.float32]
GREY = (0.299, 0.587, 0.114)  # luma of RGB, ITU-R BT.601


@dataclass(frozen=True)
class Augmentation:
    """How far a training picture may be changed; the defaults change nothing."""

    crop: float = 1.0  # smallest share of the area that a crop keeps
    aspect: float = 1.0  # largest ratio by which a crop is stretched
    flip: float = 0.0  # probability of mirroring left and right
    rotation: float = 0.0  # largest angle in degrees, either way
    brightness: float = 0.0  # largest relative change of all pixels,
    contrast: float = 0.0  # of their distance from the picture's mean grey,
    saturation: float = 0.0  # and of their distance from their own grey
    mixup: float = 0.0  # alpha of Beta(alpha, alpha); 0 mixes nothing

    def draw(self, seed: int, epoch: int, num_slots: int) -> tuple[Floats, Floats]:
        """Draw all random numbers of an epoch: row i belongs to slot i, whatever asks for it when.

        Shape:
            returns (M, NUM_DRAWS) in [0, 1), and (M,) in [1/2, 1]: a picture's own share in mixup.
        """
        rng = generator(seed, epoch, DRAWS)
        uniform = rng.random((num_slots, NUM_DRAWS), dtype=np.float32)
        if self.mixup == 0:
            return uniform, np.ones(num_slots, np.float32)
        lam = rng.beta(self.mixup, self.mixup, num_slots)
        return uniform, np.maximum(lam, 1 - lam).astype(np.float32)

    def changes(self, uniform: Tensor) -> "Changes":
        """Work out what the random numbers (M, NUM_DRAWS) do to each picture."""
        return Changes(crop_matrices(uniform, self), *colour_matrices(uniform, self))


class Changes(NamedTuple):
    """What is done to each picture, a row a picture."""

    place: Tensor  # (M, 2, 3), see `crop_matrices`
    colour: Tensor  # (M, 3, 3), see `colour_matrices`
    fade: Tensor  # (M, 1)


def augment(images: Tensor, changes: Changes, preprocessing: Preprocessing) -> Tensor:
    """Crop, stretch, mirror, turn, change the light, normalise: one resampling, one colour matrix.

    Shape:
        (N, S, S, 3) uint8 to (N, 3, image_size, image_size) float32, channels last in memory.
    """
    grid = places_to_read(changes.place, preprocessing.image_size)
    pixels = images.permute(0, 3, 1, 2).float()
    pixels = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    flat = pixels.flatten(2)  # (N, 3, size * size)
    scale, offset = preprocessing.scale_and_shift(images.device)
    grey = flat.mean(dim=2) @ torch.tensor(GREY, device=images.device)  # (N,)
    shift = changes.fade * grey.unsqueeze(1)  # (N, 1)
    changed = torch.baddbmm(
        (shift * scale + offset).unsqueeze(2), scale.view(3, 1) * changes.colour, flat
    )  # (N, 3, size * size)
    return changed.view_as(pixels).contiguous(memory_format=torch.channels_last)


def places_to_read(matrices: Tensor, size: int) -> Tensor:
    """(N, 2, 3) to (N, size, size, 2): the (x, y) that each pixel of the result is read from.

    F.affine_grid, as one product.
    """
    places = matrices.flatten(0, 1) @ pixel_places(size, matrices.device)  # (2 N, size * size)
    return places.view(-1, 2, size, size).permute(0, 2, 3, 1)


@lru_cache(maxsize=4)
def pixel_places(size: int, device: torch.device) -> Tensor:
    """(3, size * size): the centre (x, y, 1) of each pixel of the result, from -1 to 1."""
    centre = (2 * torch.arange(size, device=device) + 1) / size - 1
    y, x = torch.meshgrid(centre, centre, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)]).flatten(1)


def crop_matrices(uniform: Tensor, augmentation: Augmentation) -> Tensor:
    """(N, 2, 3): from a place in the result to that in the picture it is read from, both in -1..1.

    The crop has half sides (w, h) around (x, y) inside the picture, turned
    by the angle around its own centre; a mirrored one is read from right to left.
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
    """(N, 3, 3) and (N, 1): brightness, contrast and saturation as one linear map of RGB.

    With g(x) the grey of a pixel x and m that of the picture's mean colour,
    x -> b (m + c (g(x) + s (x - g(x)) - m)), where b, c and s are factors around 1: x times the
    first, and m times the second, b (1 - c).
    """
    limits = (augmentation.brightness, augmentation.contrast, augmentation.saturation)
    factors = 1 + (2 * uniform[:, 6:9] - 1) * torch.tensor(limits, device=uniform.device)
    b, c, s = factors.view(-1, 3, 1, 1).unbind(1)  # (N, 1, 1) each
    to_grey = torch.tensor(GREY, device=uniform.device).expand(3, 3)  # RGB to (g, g, g)
    matrix = b * c * (s * torch.eye(3, device=uniform.device) + (1 - s) * to_grey)
    return matrix, (b * (1 - c)).squeeze(2)
