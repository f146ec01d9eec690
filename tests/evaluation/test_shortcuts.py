import numpy as np
import pytest
import torch
from torch import nn

from crossent.evaluation.shortcuts import look_for_shortcuts, middle_mask
from data.images import ImageSet
from tests.evaluation.parts import classifier_of

SIZE = 24
NUM = 40


class LooksAt(nn.Module):
    """A model that predicts class 1 if the pixels of a region are bright on average."""

    def __init__(self, region):
        super().__init__()
        self.region = torch.from_numpy(region)

    def forward(self, x):
        brightness = x.mean(dim=1)[:, self.region].mean(dim=1)
        return torch.stack([-brightness, brightness], dim=1)


@pytest.mark.parametrize("at_the_border", [True, False])
def test_a_model_that_looks_at_the_border_is_found_and_no_other(at_the_border):
    """Pictures of class 1 are bright everywhere."""
    assert middle_mask(64).mean() == pytest.approx(0.5, abs=0.05)
    classifier = classifier_of(LooksAt(middle_mask(SIZE) ^ at_the_border), SIZE, ["dog", "wolf"])
    labels = np.arange(NUM) % 2
    images = np.random.default_rng(0).integers(80, 120, (NUM, SIZE, SIZE, 3))
    images += 60 * labels[:, None, None, None]
    found = look_for_shortcuts(classifier, ImageSet(images.astype(np.uint8), labels, ["?"] * NUM))
    assert found.guess == 0.5 and found.border.value == (1 if at_the_border else 0.5)
    assert found.to_dict()["warning"] == found.warning
    if at_the_border:
        assert "middle covered, 100% of predictions are still correct" in found.warning
    else:
        assert found.warning is None
