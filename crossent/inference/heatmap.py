"""Where did the model look? Grad-CAM through the gradient y - t of our own loss, and its picture.

Source: Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based
localization".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor, nn

from crossent.loss import cross_entropy
from crossent.model_file import Classifier

DIM = 0.3  # what is left of the light where a heat map is cold
OUTLINE = (255, 214, 10)

Floats = npt.NDArray[np.float32]


class NoFeatureMap(ValueError):
    """The model computes nothing that has a height and a width."""


def grad_cam(
    classifier: Classifier, images: npt.NDArray[np.uint8], classes: npt.NDArray[np.int64]
) -> Floats:
    """Return where on each picture the evidence for a class is.

    With A the last feature map, and E the loss if that class were right (dE/dz = y - t), channel c
    weighs the mean of -dE/dA_c over the map: how much more of it would lower E.

    Args:
        images: decoded pictures of the model's size.
        classes: the class asked for, one for each picture.

    Shape:
        images (N, S, S, 3), classes (N,); returns (N, h, w) from 0 to 1, as fine as A is.

    Raises:
        NoFeatureMap: the model has no feature map of more than one place.
    """
    pixels = torch.from_numpy(images).to(classifier.device)
    target = torch.from_numpy(classes).to(classifier.device)
    with torch.enable_grad(), noted_maps(classifier.model) as maps:
        logits = classifier.model(classifier.preprocessing.normalise(pixels))  # (N, K)
        E = cross_entropy(logits.float(), target, reduction="sum")
    if not maps:
        raise NoFeatureMap("the model has no feature map (N, C, h, w) to draw a heat map of")
    (gradient,) = torch.autograd.grad(E, maps[-1])
    weights = -gradient.mean(dim=(2, 3), keepdim=True)  # (N, C, 1, 1)
    heat = (weights * maps[-1]).sum(dim=1).relu().detach().float()  # (N, h, w)
    most = heat.amax(dim=(1, 2), keepdim=True)
    return torch.where(most > 0, heat / most, heat).cpu().numpy()


@contextmanager
def noted_maps(model: nn.Module) -> Iterator[list[Tensor]]:
    """While the block runs, note the outputs (N, C, h, w) of all layers, in their order."""
    maps: list[Tensor] = []

    def note(layer: nn.Module, inputs: Any, output: Any) -> None:
        # a map of one place, as after global pooling, says nothing of where
        is_map = isinstance(output, Tensor) and output.ndim == 4 and output.requires_grad
        if is_map and output.shape[2:].numel() > 1:
            maps.append(output)

    hooks = [layer.register_forward_hook(note) for layer in model.modules()]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def in_shape(pixels: npt.NDArray[np.uint8], width: int, height: int, side: int) -> Image.Image:
    """Return square pixels in this shape, its longer side `side`; a sliver keeps a quarter."""
    scale = side / max(width, height)
    size = (max(side // 4, round(width * scale)), max(side // 4, round(height * scale)))
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def spotlit(picture: Image.Image, heat: Floats) -> Image.Image:
    """Return the picture bright and in colour where the heat is, dark and grey elsewhere.

    Shape:
        heat (h, w) from 0 to 1.
    """
    mask = Image.fromarray(np.asarray(255 * heat, np.uint8)).resize(
        picture.size, Image.Resampling.BILINEAR
    )
    dark = picture.convert("L").point(lambda value: value * DIM).convert("RGB")
    lit = Image.composite(picture, dark, mask)
    # a line around where the heat is more than half, seen on dark pictures too
    hot = mask.point(lambda value: 255 if value > 127 else 0)
    lit.paste(OUTLINE, mask=ImageChops.subtract(hot, hot.filter(ImageFilter.MinFilter(3))))
    return lit
