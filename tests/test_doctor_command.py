"""The doctor looks at the pictures as the training of a config would."""

import argparse
import json

import numpy as np
import pytest

from crossent import build, pretrained
from crossent.commands import doctor
from crossent.config import load_settings
from crossent.errors import UserError
from data.preprocess import Preprocessing
from tests.data.pictures import make_folder


@pytest.fixture
def examined(tmp_path, monkeypatch, capsys):
    """What the doctor finds in a folder of 12 dogs and 8 foxes, with these lines of a config."""
    root = make_folder(tmp_path / "animals", {"dog": 12, "fox": 8})
    monkeypatch.setattr(doctor, "images_per_s", lambda settings: 10.0)

    def examine(text, more="fold: null"):
        config = tmp_path / "config.yaml"
        config.write_text(
            f"data: {{source: folder, root: {root}, val_fraction: 0.25, {more}}}\n{text}"
        )
        doctor.run(argparse.Namespace(root=None, config=config, json=True))
        return json.loads(capsys.readouterr().out)

    return examine


def test_it_follows_the_weights_to_their_size(examined, tmp_path, monkeypatch):
    weights = pretrained.PretrainedWeights(tmp_path, {}, Preprocessing(224))
    monkeypatch.setattr(pretrained, "read_pretrained", lambda *args: weights)
    model = "model: {name: torchvision/resnet18, weights: some.safetensors}"
    found = examined(model, "image_size: null")
    assert found["image_size"] == 224
    assert examined("")["image_size"] == 64


@pytest.mark.parametrize(("sampling", "num_slots"), [("natural", 9 + 6), ("balanced", 9 + 9)])
def test_the_estimate_counts_slots(examined, tmp_path, sampling, num_slots):
    config = tmp_path / "more.yaml"
    config.write_text(f"base: config.yaml\ndata: {{sampling: {sampling}}}\ntrain: {{epochs: 7}}\n")
    examined("")
    settings = load_settings(config, []).settings
    assert doctor.training_s(settings, {"dog": 9, "fox": 6}) == 7 * num_slots / 10


def test_a_mistake_of_numpy_is_not_shown_as_the_users(tmp_path, monkeypatch):
    root = make_folder(tmp_path / "animals", {"dog": 3, "fox": 3})
    words = ["data.source=folder", f"data.root={root}", "data.cache=false"]
    settings = load_settings(None, words).settings
    monkeypatch.setattr(build, "load_data", lambda *args, **kwargs: np.zeros(3).reshape(2, 2))
    with pytest.raises(ValueError, match="reshape") as error:
        build.make_data(settings)
    assert not isinstance(error.value, UserError)
    monkeypatch.undo()
    missing = load_settings(None, [*words[:1], f"data.root={tmp_path / 'none'}"]).settings
    with pytest.raises(UserError, match="no such folder"):
        build.make_data(missing)
