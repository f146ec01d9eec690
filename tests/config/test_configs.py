"""The configs that come with the project are right, and so is what their comments promise."""

import os
import subprocess
import sys

import pytest

from crossent.config import FIELDS, Settings, differences, load_settings
from crossent.config.load import DEFAULT_CONFIG
from models import MODELS

CONFIGS = DEFAULT_CONFIG.parent


def test_no_config_means_the_default_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None)
    assert loaded.settings == load_settings(CONFIGS / "default.yaml").settings
    assert loaded.origins["optim.lr"].startswith(f"{DEFAULT_CONFIG}:")


def test_default_config_says_what_the_schema_says():
    """Who writes a config without `base:` gets the same job."""
    assert differences(Settings(), load_settings(None).settings) == []


def test_the_configs_that_promise_something_in_their_comments_keep_it():
    photos = load_settings(CONFIGS / "photos.yaml", ["data.root=../photos"]).settings
    assert (photos.data.source, photos.data.root) == ("folder", os.path.abspath("../photos"))
    assert photos.data.sampling == "balanced"
    smoke = load_settings(CONFIGS / "smoke.yaml").settings
    assert smoke.data.num_images * smoke.train.epochs <= 1000
    assert (smoke.data.image_size, smoke.train.precision) == (32, "fp32")


@pytest.mark.parametrize("name", [*MODELS, "torchvision/resnet18"])
def test_every_model_can_be_named(name):
    assert load_settings(None, [f"model.name={name}"]).settings.model.name == name


def test_every_setting_says_why():
    assert [name for name, field in FIELDS.items() if not field.description] == []


def test_import_waits_for_no_heavy_library():
    code = "import sys, crossent.config; print(*{'torch', 'numpy', 'matplotlib'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=CONFIGS.parent) == b"\n"
