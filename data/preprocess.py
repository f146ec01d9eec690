"""Conversion of stored pixels to the input of a model; every model file describes it."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Preprocessing:
    """The steps from the square picture of `data.decode` to the input of a model."""

    image_size: int  # pixels, both sides
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)  # of RGB values from 0 to 1
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)

    def normalise(self, images: Tensor) -> Tensor:
        """Return (pixel / 255 - mean) / std: (N, S, S, 3) uint8 to (N, 3, S, S) float32."""
        return normalised(images, *self.scale_and_shift(images.device))

    @lru_cache(maxsize=4)  # noqa: B019 - the cache keeps only a few small tensors
    def scale_and_shift(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return scale (3,) and shift (3,): pixel * scale + shift is the normalised pixel.

        Do not call it while torch.export traces: fake tensors would stay in the cache.
        """
        mean = torch.tensor(self.mean, device=device)
        std = torch.tensor(self.std, device=device)
        return 1 / (255 * std), -mean / std

    def to_dict(self) -> dict[str, Any]:
        """Return a description in JSON types, with the steps that all models share."""
        return {
            **asdict(self),
            "steps": "EXIF-upright, colour profile to sRGB, transparency on white, 16 bits scaled "
            "to 8, whole picture stretched to image_size x image_size (Pillow BILINEAR), / 255, "
            "- mean, / std",
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Preprocessing":
        return cls(int(fields["image_size"]), tuple(fields["mean"]), tuple(fields["std"]))


def normalised(images: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Convert (N, S, S, 3) of any type to (N, 3, S, S) float32, channels last in memory."""
    return (images.float() * scale + shift).permute(0, 3, 1, 2)
