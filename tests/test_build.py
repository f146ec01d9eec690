"""From settings to parts: what cannot work is found out while they are made."""

import numpy as np
import pytest
import torch

from crossent.build import make_data, make_model
from crossent.config import load_settings
from crossent.errors import UserError
from models import build_model
from tests.data.pictures import make_folder


@pytest.mark.parametrize("name", ["alexnet", "maxvit_t"])
def test_a_model_that_cannot_take_pictures_of_this_size_is_told(name):
    words = [f"model.name=torchvision/{name}", "data.image_size=32"]
    expected = rf"torchvision/{name} .* data\.image_size=32 \("
    with pytest.raises(UserError, match=expected) as caught:
        make_model(load_settings(None, words).settings, 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["small_cnn", "torchvision/shufflenet_v2_x0_5"])
def test_the_look_at_the_size_leaves_no_trace(name):
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


def test_a_mistake_of_numpy_is_not_shown_as_the_users(tmp_path, monkeypatch):
    root = make_folder(tmp_path / "animals", {"dog": 3, "fox": 3})
    words = ["data.source=folder", f"data.root={root}", "data.cache=false"]
    settings = load_settings(None, words).settings
    monkeypatch.setattr(
        "crossent.build.load_folder", lambda *args, **kwargs: np.zeros(3).reshape(2, 2)
    )
    with pytest.raises(ValueError, match="reshape") as error:
        make_data(settings)
    assert not isinstance(error.value, UserError)
    monkeypatch.undo()
    missing = load_settings(None, [*words[:1], f"data.root={tmp_path / 'none'}"]).settings
    with pytest.raises(UserError, match="no such folder"):
        make_data(missing)
