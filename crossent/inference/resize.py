"""Pillow's BILINEAR resize, to the bit, in operations that ONNX and torch.export know.

A model that is deployed without this program must see the pixels that it was trained on. So no
Resize operator, whose antialiasing differs from runtime to runtime, but two matrix products.
"""

import PIL
import torch
from torch import Tensor, nn

PRECISION = 2**22  # Pillow computes in whole numbers, with weights in units of 1 / 2^22
PICKS_ORDER = int(PIL.__version__.split(".")[0]) >= 13


class PillowResize(nn.Module):
    """Stretch pictures of any size to a square, as `data.decode.decode` does.

    Two passes, each rounded to whole numbers. Pillow takes the horizontal one first; from version
    13 on it takes the vertical one first where the height shrinks more than twice as much as the
    width, in pixels. Source: Pillow's Resample.c, whose results a test compares.

    Args:
        size: side of the result, pixels.

    Shape:
        (N, H, W, 3) uint8 to (N, size, size, 3) float32 with whole numbers from 0 to 255.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[1], images.shape[2]
        # Not columns.T: onnxruntime before 1.24 fuses that into a product it cannot compute.
        rows = triangle_weights(height, self.size, dim=1)  # (size, H)
        columns = triangle_weights(width, self.size, dim=0)  # (W, size)
        pixels = images.permute(0, 3, 1, 2).double()  # (N, 3, H, W)
        resized = rounded(rows @ rounded(pixels @ columns))
        if PICKS_ORDER:
            vertical_first = rounded(rounded(rows @ pixels) @ columns)
            shrinks_more = shrinkage(height, self.size) > 2 * shrinkage(width, self.size)
            resized = torch.where(shrinks_more, vertical_first, resized)
        return resized.float().permute(0, 2, 3, 1)


def triangle_weights(num_pixels: int, size: int, dim: int) -> Tensor:
    """Return how much each pixel of a line counts in each pixel of the result.

    A triangle around the centre of the new pixel, as wide on either side as one new pixel, but no
    narrower than an old one.

    Shape:
        (size, num_pixels) float64 for dim = 1, (num_pixels, size) for dim = 0: the old pixels'.
    """
    # Tensors, not Python numbers, wherever a size decides: it is known only when an export runs,
    # and ONNX would divide Python numbers in float32.
    scale = torch.full((), num_pixels, dtype=torch.float64) / size
    support = scale.clamp(min=1)
    old = torch.arange(num_pixels, dtype=torch.float64) + 0.5
    new = (torch.arange(size, dtype=torch.float64) + 0.5) * scale
    weights = (1 - ((old.unsqueeze(1 - dim) - new.unsqueeze(dim)) / support).abs()).clamp(min=0)
    weights = weights / weights.sum(dim=dim, keepdim=True)
    return (weights * PRECISION + 0.5).floor() / PRECISION


def shrinkage(num_pixels: int, size: int) -> Tensor:
    """() pixels that a side loses; 0 where it grows."""
    return torch.full((), num_pixels - size).clamp(min=0)


def rounded(pixels: Tensor) -> Tensor:
    """Half up, as Pillow does; torch.round takes half to even."""
    return (pixels + 0.5).floor()
