"""Grad-CAM heat maps: where a picture has evidence for a class, by the gradient y - t of our loss.

Source: Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based
localization".
"""

from typing import Any

import torch
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor

from crossent.loss import cross_entropy
from crossent.model_file import Classifier
from data.images import Pixels

DIM = 0.3  # brightness of the picture where the heat is 0
OUTLINE = (255, 214, 10)
MAX_LIT = 0.9  # share of the picture; a map that highlights more is not informative


def evidence(
    classifier: Classifier, pixels: Pixels, k: int, picture: Image.Image
) -> Image.Image | None:
    """Return the picture, darkened where there is no evidence for class k.

    Return None if there is no map, or if it is dark or bright almost everywhere.

    Args:
        pixels: the picture in the model's size, (S, S, 3).
        picture: the same picture in any size and shape.
    """
    heat = grad_cam(classifier, pixels, k)
    if heat is None or not 0 < (heat > 0.5).float().mean() <= MAX_LIT:
        return None
    mask = Image.fromarray((255 * heat).byte().numpy())
    mask = mask.resize(picture.size, Image.Resampling.BILINEAR)
    dark = picture.convert("L").point(lambda value: value * DIM).convert("RGB")
    lit = Image.composite(picture, dark, mask)
    # An outline where the heat is one half, so that it can be seen on dark pictures too.
    hot = mask.point(lambda value: 255 if value > 127 else 0)
    lit.paste(OUTLINE, mask=ImageChops.subtract(hot, hot.filter(ImageFilter.MinFilter(3))))
    return lit


def grad_cam(classifier: Classifier, pixels: Pixels, k: int) -> Tensor | None:
    """Return where on a picture the evidence for class k is; None if the model has no feature map.

    A is the last feature map, and E is the loss with class k as the label (dE/dz = y - t). The
    weight of channel c is the mean of -dE/dA_c over the map: how fast E falls as the channel rises.

    Shape:
        pixels (S, S, 3); returns (h, w) from 0 to 1, the size of A.
    """
    maps: list[Tensor] = []

    def note(layer: Any, inputs: Any, output: Any) -> None:
        # A map of 1 x 1, as after global pooling, has no positions.
        is_map = isinstance(output, Tensor) and output.ndim == 4 and output.requires_grad
        if is_map and output.shape[2:].numel() > 1:
            maps.append(output)

    hooks = [layer.register_forward_hook(note) for layer in classifier.model.modules()]
    try:
        with torch.enable_grad():
            images = torch.tensor(pixels)[None].to(classifier.device)
            logits = classifier.model(classifier.preprocessing.normalise(images))  # (1, K)
            E = cross_entropy(logits.float(), torch.tensor([k], device=classifier.device))
    finally:
        for hook in hooks:
            hook.remove()
    if not maps:
        return None
    (gradient,) = torch.autograd.grad(E, maps[-1])
    weights = -gradient.mean(dim=(2, 3), keepdim=True)  # (1, C, 1, 1)
    heat = (weights * maps[-1]).sum(dim=1)[0].relu().detach().float().cpu()  # (h, w)
    return heat / heat.max().clamp(min=1e-30)


def to_shape(pixels: Pixels, width: int, height: int, side: int) -> Image.Image:
    """Stretch a square picture to the proportions width : height, with `side` the longer side.

    The shorter side has at least a quarter as many pixels.
    """
    scale = side / max(width, height)
    size = (max(side // 4, round(width * scale)), max(side // 4, round(height * scale)))
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
