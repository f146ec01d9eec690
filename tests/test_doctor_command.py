"""The doctor looks at the pictures as the training of a config would."""

import json

import pytest

from crossent import pretrained
from crossent.__main__ import main
from crossent.config import load_settings
from crossent.train_run import training_seconds
from data.preprocess import Preprocessing
from tests.data.pictures import make_folder


@pytest.fixture
def examined(tmp_path, monkeypatch, capsys):
    """What the doctor finds in a folder of 12 dogs and 8 foxes, with these lines of a config."""
    root = make_folder(tmp_path / "animals", {"dog": 12, "fox": 8})
    monkeypatch.setattr("crossent.train_run.training_seconds", lambda *args: 60.0)

    def examine(text, more="fold: null"):
        config = tmp_path / "config.yaml"
        config.write_text(
            f"data: {{source: folder, root: {root}, val_fraction: 0.25, {more}}}\n{text}"
        )
        main(["doctor", "-c", str(config), "--json"])
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
def test_the_estimate_counts_slots(examined, tmp_path, monkeypatch, sampling, num_slots):
    """At ten pictures a second."""

    def measured(trainer):
        return trainer.batches.order.num_slots / 10

    monkeypatch.setattr("crossent.train_run.seconds_per_epoch", measured)
    config = tmp_path / "more.yaml"
    config.write_text(
        f"base: config.yaml\ndata: {{sampling: {sampling}}}\ntrain: {{epochs: 7, batch_size: 8}}\n"
    )
    examined("")
    settings = load_settings(config, []).settings
    assert training_seconds(settings, {"dog": 9, "fox": 6}) == 7 * num_slots / 10
