"""The doctor looks at the pictures as the training of a config would."""

import json

import pytest

from crossent import pretrained
from crossent.__main__ import main
from crossent.config import load_settings
from crossent.train_run import training_seconds
from data import cache
from tests.data.pictures import decoded_here, make_folder


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write a config for a folder of 12 dogs and 8 foxes; no processes decode it."""
    monkeypatch.setattr(cache, "decode_in_order", decoded_here)
    root = make_folder(tmp_path / "animals", {"dog": 12, "fox": 8})

    def write(data, more=""):
        path = tmp_path / "config.yaml"
        data = f"data: {{source: folder, root: {root}, val_fraction: 0.25, {data}}}"
        path.write_text(f"{data}\n{more}")
        return path

    return write


PRETRAINED = "model: {name: torchvision/resnet18, weights: some.safetensors}"


@pytest.mark.parametrize(("more", "image_size"), [(PRETRAINED, 224), ("", 64)])
def test_it_follows_the_weights(config, tmp_path, monkeypatch, capsys, more, image_size):
    """To their size; it recommends them where there are none."""
    weights = pretrained.PretrainedWeights(tmp_path, {}, {"data.image_size": 224})
    monkeypatch.setattr(pretrained, "read_pretrained", lambda *args: weights)
    monkeypatch.setattr("crossent.train_run.training_seconds", lambda *args: 60.0)
    assert main(["doctor", "-c", str(config("cache: true", more)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["image_size"], found["training_s"]) == (image_size, 60.0)
    is_recommended = any("configs/pretrained.yaml" in line for line in found["warnings"])
    assert is_recommended == (not more)


@pytest.mark.parametrize(("sampling", "num_slots"), [("natural", 9 + 6), ("balanced", 9 + 9)])
def test_the_estimate_counts_slots(config, monkeypatch, sampling, num_slots):
    """At ten pictures a second."""

    def measured(trainer):
        return trainer.batches.order.num_slots / 10

    monkeypatch.setattr("crossent.train_run.seconds_per_epoch", measured)
    path = config(f"sampling: {sampling}", "train: {epochs: 7, batch_size: 8}")
    settings = load_settings(path).settings
    assert training_seconds(settings, {"dog": 9, "fox": 6}) == 7 * num_slots / 10
