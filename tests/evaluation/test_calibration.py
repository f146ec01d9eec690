import numpy as np
import pytest
import torch
from scipy import optimize
from sklearn.calibration import calibration_curve

from crossent.evaluation.confidence import (
    calibrate,
    error_by_chance,
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from crossent.evaluation.scores import Outputs
from tests.evaluation.parts import make_outputs


def test_bins_against_scikit_learn():
    outputs = make_outputs()
    accuracy, confidence = calibration_curve(outputs.right, outputs.confidence, n_bins=10)
    bins = reliability(outputs)
    np.testing.assert_allclose([b.accuracy.value for b in bins], accuracy)
    np.testing.assert_allclose([b.confidence for b in bins], confidence)
    expected = sum(b.count * abs(b.confidence - b.accuracy.value) for b in bins) / len(outputs)
    assert expected_calibration_error(outputs).value == pytest.approx(expected)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_temperature_finds_what_was_done_to_the_logits(sharpness):
    outputs = make_outputs(num=4000, sharpness=sharpness)
    assert fit_temperature(outputs) == pytest.approx(sharpness, rel=0.1)


def test_temperature_against_scipys_minimum():
    outputs = make_outputs(sharpness=3.0)
    logits, labels = torch.from_numpy(outputs.logits), torch.from_numpy(outputs.labels)

    def E(temperature):
        return torch.nn.functional.cross_entropy(logits / temperature, labels).item()

    expected = optimize.minimize_scalar(E, bounds=(0.1, 20), method="bounded").x
    assert fit_temperature(outputs) == pytest.approx(expected, rel=1e-4)


def test_temperature_where_there_is_nothing_to_find():
    untrained = Outputs(np.zeros((6, 3)), np.arange(6) % 3)
    assert fit_temperature(untrained) == 1
    always_right = Outputs(np.eye(3), np.arange(3))
    assert fit_temperature(always_right) == pytest.approx(0.01), "as sure as is allowed"


def test_a_model_that_is_too_confident_is_mended_by_its_temperature():
    outputs = make_outputs(num=1500, sharpness=3.0)
    found = calibrate(outputs)
    assert found.before.value > 0.15 and found.by_chance.high < found.before.value
    after = calibrate(Outputs(outputs.logits / found.temperature, outputs.labels)).before
    assert after.value < 0.05 and after.high < found.before.low


def test_a_calibrated_model_shows_the_error_of_chance():
    values = [expected_calibration_error(make_outputs(seed=s)).value for s in range(12)]
    expected = [error_by_chance(make_outputs(seed=s)).value for s in range(12)]
    assert np.mean(values) == pytest.approx(np.mean(expected), rel=0.2)


def test_one_picture():
    found = calibrate(Outputs(np.array([[2.0, 0.0]]), np.array([1])))
    assert 0 < found.before.value < 1
    assert found.to_dict()["ece"]["value"] == found.before.value
