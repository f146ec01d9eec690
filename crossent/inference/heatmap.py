"""Where did the model look? Grad-CAM through the gradient y - t of our own loss, and its picture.

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

DIM = 0.3  # what is left of the light where a heat map is cold
OUTLINE = (255, 214, 10)
MOST_LIT = 0.9  # a map that lights more of the picture does not say where


def evidence(
    classifier: Classifier, pixels: Pixels, k: int, picture: Image.Image
) -> Image.Image | None:
    """Return the picture lit where the evidence for class k is; None if the map does not say where.

    Args:
        pixels: the picture in the model's size, (S, S, 3).
        picture: the same in any size and shape.
    """
    heat = grad_cam(classifier, pixels, k)
    if heat is None or not 0 < (heat > 0.5).float().mean() <= MOST_LIT:
        return None
    return spotlit(picture, heat)


def grad_cam(classifier: Classifier, pixels: Pixels, k: int) -> Tensor | None:
    """Return where on a picture the evidence for class k is; None if the model has no feature map.

    With A the last feature map, and E the loss if that class were right (dE/dz = y - t), channel c
    weighs the mean of -dE/dA_c over the map: how much more of it would lower E.

    Shape:
        pixels (S, S, 3); returns (h, w) from 0 to 1, the size of A.
    """
    maps: list[Tensor] = []

    def note(layer: Any, inputs: Any, output: Any) -> None:
        # a map of one place, as after global pooling, does not say where
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


def in_shape(pixels: Pixels, width: int, height: int, side: int) -> Image.Image:
    """Return square pixels in this shape, its longer side `side`; a sliver keeps a quarter."""
    scale = side / max(width, height)
    size = (max(side // 4, round(width * scale)), max(side // 4, round(height * scale)))
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def spotlit(picture: Image.Image, heat: Tensor) -> Image.Image:
    """Return the picture bright and in colour where the heat is, dark and grey elsewhere."""
    mask = Image.fromarray((255 * heat).byte().numpy())
    mask = mask.resize(picture.size, Image.Resampling.BILINEAR)
    dark = picture.convert("L").point(lambda value: value * DIM).convert("RGB")
    lit = Image.composite(picture, dark, mask)
    # a line around where the heat is more than half, seen on dark pictures too
    hot = mask.point(lambda value: 255 if value > 127 else 0)
    lit.paste(OUTLINE, mask=ImageChops.subtract(hot, hot.filter(ImageFilter.MinFilter(3))))
    return lit
