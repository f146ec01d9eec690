import numpy as np
import torch
from PIL import Image
from torch import nn

from crossent.evaluation.shortcuts import is_middle, look_for_shortcuts, views_of
from crossent.model_file import Classifier
from data.images import ImageSet
from data.preprocess import Preprocessing

SIZE = 24


class LooksAt(nn.Module):
    """Predicts 1 where the pixels of a region are bright in the mean."""

    def __init__(self, region):
        super().__init__()
        self.region = torch.from_numpy(region)

    def forward(self, x):
        brightness = x.mean(dim=1)[:, self.region].mean(dim=1)
        return torch.stack([-brightness, brightness], dim=1)


def shortcuts_of(region, num=40):
    """Class 1 stands on snow: the border is bright, and the middle a little, too."""
    model, cpu = LooksAt(region), torch.device("cpu")
    classifier = Classifier(model, ["dog", "wolf"], Preprocessing(SIZE), "fp32", cpu, {})
    rng = np.random.default_rng(0)
    labels = np.arange(num) % 2
    images = rng.integers(80, 120, (num, SIZE, SIZE, 3)) + 60 * labels[:, None, None, None]
    pictures = ImageSet(images.astype(np.uint8), labels, [str(i) for i in range(num)])
    return look_for_shortcuts(classifier, pictures)


def test_a_model_that_looks_at_the_snow_is_found_out():
    found = shortcuts_of(~is_middle(SIZE))
    assert found.views["whole"].value == found.views["border"].value == 1
    assert found.views["centre"].value == found.guess == 0.5
    assert "middle covered, 100% of predictions are still correct" in found.warning
    assert not {"wolves", "snow", "animals"} & set(found.warning.split()), "of any pictures"


def test_a_model_that_looks_at_the_animal_is_not():
    found = shortcuts_of(is_middle(SIZE))
    assert found.views["centre"].value == 1 and found.views["border"].value == 0.5
    assert found.warning is None
    assert found.to_dict()["warning"] is None


def test_border_and_centre_share_every_pixel_and_grey_is_pillows():
    images = np.random.default_rng(0).integers(4, 256, (2, 64, 64, 3)).astype(np.uint8)
    colour = np.array([1, 2, 3], np.uint8)
    views = views_of(images, colour)
    covered = (views["border"] == colour).all(axis=-1)
    assert (covered ^ (views["centre"] == colour).all(axis=-1)).all()
    assert abs(covered.mean() - 0.5) < 0.05
    together = np.where(covered[..., None], views["centre"], views["border"])
    np.testing.assert_array_equal(together, images)
    expected = np.asarray(Image.fromarray(images[0]).convert("L"), int)[..., None]
    assert np.abs(views["grey"][0].astype(int) - expected).max() <= 1
