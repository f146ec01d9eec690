"""Settings come from the base, the file and the arguments; each value has an origin."""

import os

import pytest

from crossent.config import (
    FIELDS,
    Settings,
    differences,
    flat_values,
    load_settings,
    render,
    settings_from_dict,
)
from crossent.config.load import DEFAULT_CONFIG
from crossent.errors import UserError
from models import MODELS


def test_the_default_config_is_found_from_anywhere_and_has_the_defaults_of_the_schema(
    tmp_path, monkeypatch
):
    """So a config without `base:` gets the same settings."""
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None)
    assert loaded.origins["optim.lr"].startswith(f"{DEFAULT_CONFIG}:")
    assert differences(Settings(), loaded.settings) == []


def test_the_configs_keep_what_their_comments_promise():
    configs = DEFAULT_CONFIG.parent
    photos = load_settings(configs / "photos.yaml", ["data.root=../photos"]).settings
    assert (photos.data.source, photos.data.root) == ("folder", os.path.abspath("../photos"))
    assert photos.data.sampling == "balanced"
    smoke = load_settings(configs / "smoke.yaml").settings
    assert smoke.data.num_images * smoke.train.epochs <= 1000
    assert (smoke.data.image_size, smoke.train.precision) == (32, "fp32")


def test_a_file_without_values_gives_the_defaults(write):
    loaded = load_settings(write("optim:\n  # lr: 1\ntrain: {}"))
    assert loaded.settings == Settings()
    assert loaded.origins == dict.fromkeys(FIELDS, "default")


def test_later_layers_win_key_by_key(write):
    write("seed: 1\noptim:\n  lr: 0.1\n  momentum: 0.5\n  weight_decay: 0", "base.yaml")
    path = write("base: base.yaml\noptim:\n  lr: 0.2\n  momentum: 0.6")
    loaded = load_settings(path, ["optim.lr=0.9", "optim.lr=0.3"])
    settings, origins = loaded.settings, loaded.origins
    assert (settings.seed, settings.optim.weight_decay) == (1, 0.0)
    assert (settings.optim.momentum, settings.optim.lr) == (0.6, 0.3)
    assert origins["seed"] == f"{path.parent}/base.yaml:1"
    assert origins["optim.momentum"] == f"{path}:4"
    assert origins["optim.lr"] == "argument optim.lr=0.3"
    assert origins["train.epochs"] == "default"


def test_base_is_relative_to_the_file_that_names_it_or_to_the_home_folder(write, monkeypatch):
    home = write("seed: 1\ntrain: {epochs: 1}", "home/root.yaml").parent
    monkeypatch.setenv("HOME", str(home))
    write("base: ~/root.yaml\ntrain: {epochs: 2}", "sub/middle.yaml")
    settings = load_settings(write("base: sub/middle.yaml"), ["data.root=~/pictures"]).settings
    assert (settings.seed, settings.train.epochs) == (1, 2)
    assert settings.data.root == f"{home}/pictures"


@pytest.mark.parametrize("argument", ["data.root=/pictures", "data.labels=/labels.csv"])
def test_data_root_and_data_labels_replace_drawings_by_a_folder(write, argument):
    name, _, path = argument.partition("=")
    for config in (None, write("optim:\n  lr: 0.1")):  # with and without a source in the file
        loaded = load_settings(config, [argument])
        values = flat_values(loaded.settings)
        assert (values["data.source"], values[name]) == ("folder", path)
        assert loaded.origins["data.source"] == loaded.origins[name] == f"argument {argument}"
    inherits = write(f"base: fox.yaml\ndata:\n  {name[5:]}: {path}", "own.yaml")
    loaded = load_settings(inherits)
    found = loaded.settings.data.source, loaded.origins["data.source"]
    assert found == ("folder", f"{inherits}:3")


def test_data_root_keeps_a_source_that_is_given_with_it_or_is_not_drawings(write):
    cifar = load_settings(write("data: {source: cifar}"), ["data.root=/archives"]).settings
    assert cifar.data.source == "cifar"
    assert load_settings(None, ["data.root=null"]).settings == Settings()
    with pytest.raises(UserError, match=r"data\.root is not read with data\.source drawings"):
        load_settings(None, ["data.source=drawings", "data.root=/pictures"])


ARGUMENTS = {
    "seed=3": 3, "optim.lr=1e-3": 0.001, "optim.lr=1": 1.0, "optim.nesterov=false": False,
    "model.weights=null": None, "model.weights=a=b: c #d*&": "a=b: c #d*&",
    "model.weights='7'": "7", "model.weights=no": "no", " train.epochs = 7 ": 7,
    "loss.class_weights=[1, 2.5]": (1.0, 2.5), "loss.class_weights=balanced": "balanced",
    "train.device=cuda:1": "cuda:1", "train.threads=2": 2, "train.checkpoint_every=30": 30.0,
    "train.checkpoint_every=500 steps": "500 steps",
    **{f"model.name={name}": name for name in [*MODELS, "torchvision/resnet18"]},
}  # fmt: skip


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_argument_sets_one_value(write, argument):
    loaded = load_settings(write(""), [argument])
    name, value = argument.partition("=")[0].strip(), ARGUMENTS[argument]
    got = flat_values(loaded.settings)[name]
    assert (type(got), got) == (type(value), value)
    assert loaded.origins[name] == f"argument {argument}"


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("nowhere.yaml", "base: nowhere.yaml: No such file or directory"),
        ("fxo.yaml", "base: fxo.yaml: No such file or directory; did you mean fox.yaml?"),
        (".", "base: .: Is a directory"),
        ('"a\\0b"', "base: a\\x00b: embedded null byte"),
    ],
)
def test_a_base_that_cannot_be_read_is_reported_with_its_line(mistakes, base, words):
    (line,) = mistakes(f"seed: 1\nbase: {base}")
    assert line.startswith(f"fox.yaml:2: {words}")


def test_a_circle_of_bases_is_refused(mistakes, write):
    write("base: fox.yaml", "other.yaml")
    (line,) = mistakes("base: other.yaml")
    assert line.startswith("other.yaml:1: base: fox.yaml: starts from itself")


@pytest.mark.parametrize("path", ["nowhere.yaml", "a\0b", "x" * 5000, "\ud800", "/proc/self/mem"])
def test_a_file_that_cannot_be_read_is_reported_in_one_line(path):
    """Even root cannot read the first byte of a process's memory."""
    with pytest.raises(UserError) as caught:
        load_settings(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"optim": {"beta": 0.9}}, "optim.beta is not a setting; "),
        ({"train": {"epochs": 0}}, "train.epochs must be greater than or equal to 1; got 0"),
        ({"data": {"source": "folder"}}, "data.source folder needs data.root=FOLDER, the folder"),
    ],
)
def test_settings_of_another_version_are_refused_in_one_sentence(values, reason):
    with pytest.raises(UserError) as caught:
        settings_from_dict(values, "runs/old/model.safetensors")
    assert str(caught.value).startswith(f"runs/old/model.safetensors: {reason}")
    assert str(caught.value).endswith("; if another version of crossent wrote it, use that version")
    assert "\n" not in str(caught.value)
    settings = Settings(seed=3, loss={"class_weights": [1.0, 2.0]})
    assert settings_from_dict(settings.model_dump(mode="json"), "a file") == settings


def test_rendered_settings_are_yaml_with_origins(write):
    path = write("optim:\n  lr: 0.5")
    loaded = load_settings(path, ["seed=7", "loss.class_weights=[1, 2]", "train.threads=3"])
    text = render(loaded)
    lines = dict(line.split(":", 1) for line in text.splitlines())
    assert lines["  lr"].split("  # ")[1].startswith(f"{path}:2 ")
    assert lines["seed"].split() == "7 # argument seed=7 seed of everything random".split()
    assert lines["  momentum"].split("  # ")[1].startswith("default ")
    assert len({line.index(" # ") for line in text.splitlines() if " # " in line}) == 1
    assert load_settings(write(text)).settings == loaded.settings
    path = write("seed: 1", "a\nseed: 2 #.yaml")
    assert load_settings(write(render(load_settings(path)))).settings.seed == 1


def test_differences_name_each_setting():
    assert differences(Settings(), Settings()) == []
    other = Settings(seed=1, optim={"lr": 0.2}, loss={"class_weights": (1.0, 2.0)})
    assert differences(Settings(), other) == [
        "seed: 0 -> 1",
        "loss.class_weights: none -> [1.0, 2.0]",
        "optim.lr: 0.07 -> 0.2",
    ]
