"""The configs that come with the project are right, and so is what their comments promise."""

import subprocess
import sys

from crossent.config import FIELDS, Settings, differences, load_settings
from crossent.config.load import DEFAULT_CONFIG

CONFIGS = DEFAULT_CONFIG.parent


def test_no_config_means_the_default_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None)
    assert loaded.settings == load_settings(CONFIGS / "default.yaml").settings
    assert loaded.origins["optim.lr"].startswith(f"{DEFAULT_CONFIG}:")


def test_default_config_is_named_briefly_from_its_own_folder(monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    assert load_settings(None).origins["seed"].startswith("configs/default.yaml:")


def test_default_config_says_what_the_schema_says():
    """Who writes a config without `base:` gets the same job."""
    assert differences(Settings(), load_settings(None).settings) == []


def test_photos_need_a_root_and_are_balanced():
    settings = load_settings(CONFIGS / "photos.yaml", ["data.root=../photos"]).settings
    assert (settings.data.source, settings.data.root) == ("folder", "../photos")
    assert settings.data.sampling == "balanced"


def test_smoke_config_is_small():
    settings = load_settings(CONFIGS / "smoke.yaml").settings
    assert settings.data.num_images * settings.train.epochs <= 200
    assert (settings.data.image_size, settings.train.precision) == (32, "fp32")


def test_every_setting_says_why():
    assert [name for name, field in FIELDS.items() if not field.description] == []


def test_import_waits_for_no_heavy_library():
    code = "import sys, crossent.config; print(*{'torch', 'numpy', 'matplotlib'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=CONFIGS.parent) == b"\n"
