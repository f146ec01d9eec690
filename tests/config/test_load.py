"""Settings come from the base, the file and the arguments; each value has an origin."""

import pytest

from crossent.config import FIELDS, Settings, differences, flat_values, load_settings, to_yaml
from crossent.config.load import DEFAULT_CONFIG
from crossent.errors import UserError
from models import MODELS


def test_without_values_settings_are_those_of_the_default_config(write, tmp_path, monkeypatch):
    """It is found from any folder, and has the defaults of the schema."""
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None)
    assert loaded.origins["optim.lr"].startswith(f"{DEFAULT_CONFIG}:")
    assert differences(Settings(), loaded.settings) == []
    loaded = load_settings(write("optim:\n  # lr: 1\ntrain: {}"))
    assert loaded.settings == Settings()
    assert loaded.origins == dict.fromkeys(FIELDS, "default")


def test_later_layers_win_key_by_key(write, monkeypatch):
    """A base is relative to the file that names it, or to the home folder."""
    home = write("seed: 1\noptim: {lr: 0.1, momentum: 0.5, weight_decay: 0}", "home/root.yaml")
    monkeypatch.setenv("HOME", str(home.parent))
    middle = write("base: ~/root.yaml\noptim: {lr: 0.2, momentum: 0.6}", "sub/middle.yaml")
    path = write("base: sub/middle.yaml\noptim:\n  lr: 0.3\n  body_lr: 0.5")
    loaded = load_settings(path, ["optim.lr=0.9", "optim.lr=0.4", "data.root=~/pictures"])
    values = flat_values(loaded.settings)
    for name, value, origin in [
        ("seed", 1, f"{home}:1"),
        ("optim.weight_decay", 0.0, f"{home}:2"),
        ("optim.momentum", 0.6, f"{middle}:2"),
        ("optim.body_lr", 0.5, f"{path}:4"),
        ("optim.lr", 0.4, "argument optim.lr=0.4"),
        ("data.root", f"{home.parent}/pictures", "argument data.root=~/pictures"),
        ("train.epochs", Settings().train.epochs, "default"),
    ]:
        assert (values[name], loaded.origins[name]) == (value, origin)


@pytest.mark.parametrize("argument", ["data.root=/pictures", "data.labels=/labels.csv"])
def test_data_root_and_data_labels_replace_drawings_by_a_folder(write, argument):
    name, _, path = argument.partition("=")
    plain = write("optim:\n  lr: 0.1")
    inherits = write(f"base: fox.yaml\ndata:\n  {name[5:]}: {path}", "own.yaml")
    for config, words, origin in [
        (None, [argument], f"argument {argument}"),  # default.yaml has a source
        (plain, [argument], f"argument {argument}"),
        (inherits, [], f"{inherits}:3"),
    ]:
        loaded = load_settings(config, words)
        values = flat_values(loaded.settings)
        assert (values["data.source"], values[name]) == ("folder", path)
        assert loaded.origins["data.source"] == loaded.origins[name] == origin


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
    loaded, value = load_settings(write(""), [argument]), ARGUMENTS[argument]
    name = argument.partition("=")[0].strip()
    found = flat_values(loaded.settings)[name]
    assert (type(found), found) == (type(value), value)
    assert loaded.origins[name] == f"argument {argument}"


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("nowhere.yaml", "fox.yaml:2: base: nowhere.yaml: No such file or directory"),
        ("fxo.yaml", "fox.yaml:2: base: fxo.yaml: No such file or directory; did you mean fox"),
        (".", "fox.yaml:2: base: .: Is a directory"),
        ('"a\\0b"', "fox.yaml:2: base: a\\x00b: embedded null byte"),
        ("circle.yaml", "circle.yaml:1: base: fox.yaml: starts from itself"),
    ],
)
def test_a_base_that_cannot_be_used_is_reported_with_its_line(mistakes, write, base, words):
    write("base: fox.yaml", "circle.yaml")
    (line,) = mistakes(f"seed: 1\nbase: {base}")
    assert line.startswith(words)


@pytest.mark.parametrize("path", ["nowhere.yaml", "a\0b", "x" * 5000, "\ud800", "/proc/self/mem"])
def test_a_file_that_cannot_be_read_is_reported_in_one_line(path):
    """Even root cannot read the first byte of a process's memory."""
    with pytest.raises(UserError) as caught:
        load_settings(path)
    assert str(caught.value).isprintable()


def test_rendered_settings_are_yaml_with_origins(write):
    path = write("optim:\n  lr: 0.5")
    loaded = load_settings(path, ["seed=7", "loss.class_weights=[1, 2]", "train.threads=3"])
    text = to_yaml(*loaded[:2])
    lines = dict(line.split(":", 1) for line in text.splitlines())
    assert lines["  lr"].split("  # ")[1].startswith(f"{path}:2 ")
    assert lines["seed"].split() == "7 # argument seed=7 seed of everything random".split()
    assert lines["  momentum"].split("  # ")[1].startswith("default ")
    assert len({line.index(" # ") for line in text.splitlines() if " # " in line}) == 1
    assert load_settings(write(text)).settings == loaded.settings
    path = write("seed: 1", "a\nseed: 2 #.yaml")
    assert load_settings(write(to_yaml(*load_settings(path)[:2]))).settings.seed == 1
