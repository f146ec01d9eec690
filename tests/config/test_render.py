"""Settings as text: complete, readable by a person, and read again as the same settings."""

import pytest

from crossent.config import Settings, differences, load_settings, render, to_yaml

ODD = Settings(
    seed=2**63 - 1,
    data={"source": "folder", "root": "a: 'b' #\"c\"\\\n\t\u2028é🦊 ", "cache": False},
    loss={"class_weights": (1.0, 1e-05, 3e22)},
    optim={"lr": 1e-300},
    train={"checkpoint_every": "5 steps", "device": "cuda:1", "threads": 2},
)


@pytest.mark.parametrize("given_settings", [Settings(), ODD], ids=["default", "odd"])
def test_written_settings_are_read_again(write, given_settings):
    assert load_settings(write(to_yaml(given_settings))).settings == given_settings


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
