"""The three controls: a sound pipeline passes, and each way of breaking it is found out."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from crossent import build
from crossent.config import load_settings
from crossent.experiments.check import CONTROLS, check
from crossent.training.optim import SGD
from crossent.training.trainer import Trainer
from data.augment import augment
from data.preprocess import Preprocessing
from models import build_model
from models.small_cnn import SmallCNN
from tests.forked import Command
from tests.training.parts import make_trainer

SMOKE = ("-c", "configs/smoke.yaml", "train.threads=1")
SETTINGS = load_settings("configs/smoke.yaml", ["train.threads=1"]).settings


@pytest.fixture(scope="module")
def drawn():
    return build.make_data(SETTINGS)


def verdict(control, drawn, settings=SETTINGS):
    return CONTROLS[control](settings, drawn, 60.0)


def test_the_command_passes_with_numbers(tmp_path):
    out, _ = Command(tmp_path, "crossent", "check", *SMOKE).end(status=0)
    lines = out.splitlines()
    assert [line[:5] for line in lines] == ["PASS "] * 3
    for control, line in zip(CONTROLS, lines, strict=True):
        assert control in line and "expected" in line
    assert f"untrained E = {math.log(3):.4f}, expected ln K = {math.log(3):.4f}" in lines[0]


def test_the_command_fails_with_status_1(tmp_path):
    words = ("crossent", "check", *SMOKE, "optim.lr=1e-6", "--seconds=0.2")
    out, _ = Command(tmp_path, *words).end(status=1)
    assert [line[:4] for line in out.splitlines()] == ["PASS", "FAIL", "PASS"]
    assert "a larger optim.lr may help" in out


def test_labels_that_slip_by_one_picture_in_the_augmentation(drawn, monkeypatch):
    """They can be learned by heart, but not be found again on the pictures themselves."""
    slip = lambda *a: augment(*a).roll(1, 0)  # noqa: E731
    monkeypatch.setattr("data.batches.augment", slip)
    passed, text = verdict("one batch", drawn)
    assert not passed and "do not see the same pictures with the same labels" in text


def test_pictures_that_validation_normalises_otherwise(drawn, monkeypatch):
    normalise = Preprocessing.normalise
    monkeypatch.setattr(Preprocessing, "normalise", lambda *a: normalise(*a).flip(1) * -1)
    passed, text = verdict("one batch", drawn)
    assert not passed and "do not see the same pictures" in text


def test_a_gradient_that_is_cut(drawn, monkeypatch):
    """The last layer alone can learn a batch by heart: only the gradients tell."""

    def forward(model, x):
        return model.head(model.features(x).mean(dim=(2, 3)).detach())

    monkeypatch.setattr(SmallCNN, "forward", forward)
    passed, text = verdict("a few steps", drawn)
    assert not passed and "no gradient arrives at 12 of 14 tensors, such as features.0.0" in text


def test_a_model_that_prefers_a_class_from_the_start(drawn, monkeypatch):
    def prejudiced(*args, **kwargs):
        model = build_model(*args, **kwargs)
        model.head.bias.data[0] = 2
        return model

    monkeypatch.setattr("crossent.build.build_model", prejudiced)
    passed, text = verdict("a few steps", drawn)
    assert not passed and "expected ln K" in text


def test_an_optimizer_that_does_nothing(drawn, monkeypatch):
    monkeypatch.setattr(SGD, "step", lambda self: None)
    passed, text = verdict("one batch", drawn)
    assert not passed and f"E = {math.log(3):.4f}, expected below 0.05" in text


def test_training_on_the_validation_pictures(drawn, monkeypatch):
    make_batches = build.make_batches

    def leaking(settings, given, *rest):
        return make_batches(settings, replace(given, train=given.val), *rest)

    monkeypatch.setattr(build, "make_batches", leaking)
    passed, text = verdict("shuffled labels", drawn)
    assert not passed and "the entropy of the classes, or more; chance reaches" in text


def test_a_loss_that_explodes_is_a_verdict(monkeypatch):
    monkeypatch.setattr("crossent.experiments.check.CONTROLS", {"one batch": CONTROLS["one batch"]})
    settings = load_settings("configs/smoke.yaml", ["train.threads=1", "optim.lr=1e38"]).settings
    (found,) = check(settings, 60.0)
    assert not found.passed and "the loss is" in found.text and "\n" not in str(found)


def test_overfit_batch_shows_one_batch_changed_always_alike():
    batches = replace(make_trainer().batches, only_first=True)
    shown = [batch for epoch in range(2) for batch in batches.epoch(epoch)]
    first = next(make_trainer().batches.epoch(0))
    assert len(shown) == 2 * len(batches) > 2
    for batch in shown:
        assert np.array_equal(batch.sample_ids, first.sample_ids)
        assert torch.equal(batch.images, first.images) and torch.equal(batch.target, first.target)


def test_the_few_steps_are_those_of_training(drawn, monkeypatch):
    modes, step = [], Trainer.train_step

    def watched(self, batch):
        modes.append(self.model.training)
        step(self, batch)

    monkeypatch.setattr(Trainer, "train_step", watched)
    assert verdict("a few steps", drawn)[0] and modes == [True] * 3
