"""The three controls: a sound pipeline passes, a broken one fails."""

import math
from dataclasses import replace

import pytest

from crossent import build
from crossent.config import load_settings
from crossent.experiments.check import CONTROLS
from data.augment import augment
from data.preprocess import Preprocessing
from models import build_model
from tests.evaluation.parts import crossent
from tests.experiments.parts import TINY

SETTINGS = load_settings("tests/tiny.yaml", ["train.threads=1"]).settings


def test_the_command_passes_with_numbers():
    lines = crossent("check", *TINY)[0].splitlines()
    assert [line[:5] for line in lines] == ["PASS "] * 3
    for control, line in zip(CONTROLS, lines, strict=True):
        assert control in line and "expected" in line
    assert f"untrained E = {math.log(3):.4f}, expected ln K = {math.log(3):.4f}" in lines[0]


def test_the_command_fails_with_status_1_where_the_loss_explodes(monkeypatch):
    monkeypatch.setattr("crossent.experiments.check.CONTROLS", {"one batch": CONTROLS["one batch"]})
    out, _ = crossent("check", *TINY, "optim.lr=1e38", status=1)
    assert out.startswith("FAIL") and "the loss is" in out and out.count("\n") == 1


def shifted_pictures(*arguments):
    """Shift the pictures by one: a batch can be learned, but validation has other labels."""
    return augment(*arguments).roll(1, 0)


def other_colours(*arguments, normalise=Preprocessing.normalise):
    return normalise(*arguments).flip(1) * -1


def cut_gradient(model, x):
    """Cut the gradient off from all layers but the last, which alone can learn one batch."""
    return model.head(model.features(x).mean(dim=(2, 3)).detach())


def biased_head(*arguments, **options):
    model = build_model(*arguments, **options)
    model.head.bias.data[0] = 2
    return model


def leaking(settings, given, *rest, make_batches=build.make_batches):
    """Train on the validation pictures."""
    return make_batches(settings, replace(given, train=given.val), *rest)


def no_step(optimizer):
    pass


@pytest.mark.parametrize(
    ("control", "target", "fault", "message"),
    [
        ("one batch", "data.batches.augment", shifted_pictures, "with the same labels"),
        ("one batch", "data.preprocess.Preprocessing.normalise", other_colours, "same pictures"),
        ("one batch", "crossent.training.optim.SGD.step", no_step,
         f"E = {math.log(3):.4f}, expected below 0.05; in validation 1.0986, expected below 0.5; "
         "a larger optim.lr may help"),
        ("a few steps", "models.cnn.SmallCNN.forward", cut_gradient,
         "12 of 14 tensors have no gradient, such as features.0.0"),
        ("a few steps", "crossent.build.build_model", biased_head, "expected ln K"),
        ("shuffled labels", "crossent.build.make_batches", leaking,
         "the entropy of the classes, 1.0986, minus a margin for chance"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_each_broken_pipeline_is_detected(monkeypatch, control, target, fault, message):
    drawn = build.make_data(SETTINGS)
    monkeypatch.setattr(target, fault)
    monkeypatch.setattr("crossent.experiments.check.MAX_STEPS", 80)
    passed, text = CONTROLS[control](SETTINGS, drawn, 60.0)
    assert not passed and message in text
