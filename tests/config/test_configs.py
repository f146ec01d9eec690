"""The configs of the project keep what their comments promise."""

import os

import pytest

from crossent.config import Settings, differences, load_settings
from crossent.config.load import DEFAULT_CONFIG
from models import MODELS

CONFIGS = DEFAULT_CONFIG.parent


def test_the_default_config_is_found_from_anywhere_and_says_what_the_schema_says(
    tmp_path, monkeypatch
):
    """A config without `base:` then gets the same job."""
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None)
    assert loaded.origins["optim.lr"].startswith(f"{DEFAULT_CONFIG}:")
    assert differences(Settings(), loaded.settings) == []


def test_the_configs_keep_what_their_comments_promise():
    photos = load_settings(CONFIGS / "photos.yaml", ["data.root=../photos"]).settings
    assert (photos.data.source, photos.data.root) == ("folder", os.path.abspath("../photos"))
    assert photos.data.sampling == "balanced"
    smoke = load_settings(CONFIGS / "smoke.yaml").settings
    assert smoke.data.num_images * smoke.train.epochs <= 1000
    assert (smoke.data.image_size, smoke.train.precision) == (32, "fp32")


@pytest.mark.parametrize("name", [*MODELS, "torchvision/resnet18"])
def test_every_model_can_be_named(name):
    assert load_settings(None, [f"model.name={name}"]).settings.model.name == name
