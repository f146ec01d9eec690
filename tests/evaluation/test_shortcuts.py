import numpy as np
import torch
from PIL import Image
from torch import nn

from crossent.evaluation.shortcuts import (
    in_grey,
    is_middle,
    look_for_shortcuts,
    only_border,
    only_centre,
)
from crossent.model_file import Classifier
from data.images import ImageSet
from data.preprocess import Preprocessing

SIZE = 24


class LooksAt(nn.Module):
    """Says 1 where the pixels of a region are bright in the mean."""

    def __init__(self, region):
        super().__init__()
        self.region = torch.from_numpy(region)

    def forward(self, x):
        brightness = x.mean(dim=1)[:, self.region].mean(dim=1)
        return torch.stack([-brightness, brightness], dim=1)


def classifier_for(region):
    return Classifier(
        LooksAt(region), ["dog", "wolf"], Preprocessing(SIZE), "fp32", torch.device("cpu"), {}
    )


def pictures(num=40):
    """Class 1 stands on snow: the border is bright, and the middle a little, too."""
    rng = np.random.default_rng(0)
    labels = np.arange(num) % 2
    images = rng.integers(80, 120, (num, SIZE, SIZE, 3)) + 60 * labels[:, None, None, None]
    return ImageSet(images.astype(np.uint8), labels, [str(i) for i in range(num)])


def test_a_model_that_looks_at_the_snow_is_found_out():
    found = look_for_shortcuts(classifier_for(~is_middle(SIZE)), pictures())
    assert found.views["whole"].value == found.views["border"].value == 1
    assert found.views["centre"].value == found.guess == 0.5
    assert "border alone" in found.warning and "100%" in found.warning
    assert "background" in found.warning
    assert not {"wolves", "snow", "animals"} & set(found.warning.split()), "of any pictures"


def test_a_model_that_looks_at_the_animal_is_not():
    found = look_for_shortcuts(classifier_for(is_middle(SIZE)), pictures())
    assert found.views["centre"].value == 1 and found.views["border"].value == 0.5
    assert found.warning is None
    assert found.to_dict()["warning"] is None


def test_border_and_centre_share_every_pixel_between_them():
    images, colour = pictures().images, np.array([1, 2, 3], np.uint8)
    border, centre = only_border(images, colour), only_centre(images, colour)
    covered = (border == colour).all(axis=-1)
    assert (covered ^ (centre == colour).all(axis=-1)).all()
    assert abs(is_middle(64).mean() - 0.5) < 0.05
    np.testing.assert_array_equal(np.where(covered[..., None], centre, border), images)


def test_grey_is_pillows():
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(images[0]).convert("L"), int)[..., None]
    found = in_grey(images, images[0, 0, 0]).astype(int)
    assert found.shape == images.shape and np.abs(found[0] - expected).max() <= 1
