"""From settings to parts: what cannot work is found out while they are made."""

import pytest
import torch

from crossent.build import make_model
from crossent.config import load_settings
from crossent.errors import UserError


def settings(*words):
    return load_settings(None, words).settings


def test_a_model_that_cannot_take_such_small_pictures_is_told():
    words = ("model.name=torchvision/alexnet", "data.image_size=32")
    with pytest.raises(UserError, match=r"torchvision/alexnet .* data\.image_size=32") as caught:
        make_model(settings(*words), 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["small_cnn", "torchvision/shufflenet_v2_x0_5"])
def test_the_look_at_the_size_leaves_no_trace(name, monkeypatch):
    given = settings(f"model.name={name}", "data.image_size=32", "model.dropout=0.5")
    torch.manual_seed(0)
    looked = make_model(given, 3)
    random_state = torch.get_rng_state()
    monkeypatch.setattr("crossent.build.check_runs", lambda *_: None)
    torch.manual_seed(0)
    plain = make_model(given, 3)
    assert torch.equal(random_state, torch.get_rng_state())
    assert all(module.training for module in looked.modules())
    tensors = zip(looked.state_dict().values(), plain.state_dict().values(), strict=True)
    for found, expected in tensors:
        assert torch.equal(found, expected)
