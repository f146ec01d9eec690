"""A model is built from settings, and tried on a picture."""

import pytest
import torch

from crossent.build import make_model
from crossent.config import load_settings
from crossent.errors import UserError
from models import build_model


@pytest.mark.parametrize("name", ["alexnet", "maxvit_t"])
def test_a_model_that_cannot_take_pictures_of_this_size_is_refused(name):
    words = [f"model.name=torchvision/{name}", "data.image_size=32"]
    expected = rf"torchvision/{name} .* data\.image_size=32 \("
    with pytest.raises(UserError, match=expected) as caught:
        make_model(load_settings(None, words).settings, 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["small_cnn", "torchvision/shufflenet_v2_x0_5"])
def test_the_trial_changes_nothing(name):
    words = [f"model.name={name}", "data.image_size=32", "model.dropout=0.5"]
    settings = load_settings(None, words).settings
    torch.manual_seed(0)
    looked = make_model(settings, 3)
    random_state = torch.get_rng_state()
    torch.manual_seed(0)
    width = {"width": settings.model.width} if name == "small_cnn" else {}
    plain = build_model(name, 3, dropout=0.5, **width)
    assert torch.equal(random_state, torch.get_rng_state())
    assert all(module.training for module in looked.modules())
    tensors = zip(looked.state_dict().values(), plain.state_dict().values(), strict=True)
    for found, expected in tensors:
        assert torch.equal(found, expected)
