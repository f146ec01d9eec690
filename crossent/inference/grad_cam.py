"""Where did the model look? Grad-CAM, through the gradient y - t of our own loss.

Source: Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based
localization".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from crossent.loss import cross_entropy
from crossent.model_file import Classifier

Floats = npt.NDArray[np.float32]


def grad_cam(
    classifier: Classifier, images: npt.NDArray[np.uint8], classes: npt.NDArray[np.int64]
) -> Floats:
    """What on each picture speaks for a class.

    With A the last feature map, and E the loss if that class were right (dE/dz = y - t), channel c
    weighs the mean of -dE/dA_c over the map: how much more of it would lower E.

    Args:
        images: decoded pictures of the model's size.
        classes: the class asked for, one for each picture.

    Shape:
        images (N, S, S, 3), classes (N,); returns (N, h, w) from 0 to 1, as fine as A is.

    Raises:
        ValueError: the model has no feature map of more than one place.
    """
    pixels = torch.from_numpy(images).to(classifier.device)
    target = torch.from_numpy(classes).to(classifier.device)
    with torch.enable_grad(), noted_maps(classifier.model) as maps:
        logits = classifier.model(classifier.preprocessing.normalise(pixels))  # (N, K)
        E = cross_entropy(logits.double(), target, reduction="sum")
    if not maps:
        raise ValueError("the model has no feature map (N, C, h, w): nothing to draw a heat map of")
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
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            maps.append(output)

    hooks = [layer.register_forward_hook(note) for layer in model.modules()]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()
