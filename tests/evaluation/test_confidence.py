"""Calibration and coverage: against other libraries, counted by hand, promises kept or refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from sklearn.calibration import calibration_curve

from crossent.evaluation.confidence import (
    calibrate,
    error_by_chance,
    expected_calibration_error,
    fit_temperature,
    keep_promise,
    keep_shares,
    rejection_curve,
    reliability,
)
from crossent.evaluation.intervals import wilson
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


@pytest.mark.parametrize("sharpness", [0.3, 4.0])
def test_temperature_finds_what_was_done_to_the_logits(sharpness):
    outputs = make_outputs(num=4000, sharpness=sharpness)
    assert fit_temperature(outputs) == pytest.approx(sharpness, rel=0.1)
    logits, labels = torch.from_numpy(outputs.logits), torch.from_numpy(outputs.labels)

    def E(temperature):
        return torch.nn.functional.cross_entropy(logits / temperature, labels).item()

    expected = optimize.minimize_scalar(E, bounds=(0.1, 20), method="bounded").x
    assert fit_temperature(outputs) == pytest.approx(expected, rel=1e-4)


def test_temperature_where_there_is_nothing_to_find():
    untrained = Outputs(np.zeros((6, 3)), np.arange(6) % 3)
    assert fit_temperature(untrained) == 1
    always_right = Outputs(np.eye(3), np.arange(3))
    assert fit_temperature(always_right) == pytest.approx(0.01), "as confident as is allowed"


def test_an_overconfident_model_is_mended_by_its_temperature():
    outputs = make_outputs(num=1500, sharpness=3.0)
    found = calibrate(outputs)
    assert found.before.value > 0.15 and found.by_chance.high < found.before.value
    after = calibrate(Outputs(outputs.logits / found.temperature, outputs.labels)).before
    assert after.value < 0.05 and after.high < found.before.low


def test_a_calibrated_model_shows_the_error_of_chance():
    values = [expected_calibration_error(make_outputs(seed=s)).value for s in range(12)]
    expected = [error_by_chance(make_outputs(seed=s)).value for s in range(12)]
    assert np.mean(values) == pytest.approx(np.mean(expected), rel=0.2)


answers = st.lists(st.tuples(st.sampled_from([0.4, 0.5, 0.7, 0.9, 1.0]), st.booleans()), min_size=1)


@given(answers)
def test_every_point_counts_the_answers_of_at_least_that_confidence(pairs):
    confidence, right = (np.array(column) for column in zip(*pairs, strict=True))
    curve = rejection_curve(confidence, right)
    assert [point[0] for point in curve] == sorted(set(confidence.tolist()), reverse=True)
    for threshold, coverage, accuracy in curve:
        kept = [r for c, r in pairs if c >= threshold]
        assert coverage == pytest.approx(len(kept) / len(pairs))
        assert accuracy == pytest.approx(sum(kept) / len(kept))


def test_the_accuracy_of_a_share_of_the_pictures():
    outputs = make_outputs(num=50)
    found = keep_shares(outputs)
    assert found[1.0].interval == wilson(outputs.right.sum(), 50)
    assert found[1.0].threshold == outputs.confidence.min()
    expected = outputs.right[outputs.confidence >= found[0.5].threshold]
    assert found[0.5].num_kept == len(expected) == 25
    assert found[0.5].interval.value == pytest.approx(expected.mean())
    assert expected.mean() > outputs.right.mean(), "confident answers are right more often"


def test_a_long_curve_is_thinned_but_keeps_its_ends():
    confidence = np.linspace(0.4, 1.0, 5000)
    curve = rejection_curve(confidence, confidence > 0.5, num_points=100)
    assert (len(curve), curve[0][0], curve[-1][:2]) == (100, 1.0, (0.4, 1.0))


def test_the_promise_answers_as_many_as_the_lower_end_of_the_interval_allows():
    """Of 400 answers the 200 most confident are right, of the next 40 half, the rest wrong."""
    confidence = np.linspace(1.0, 0.5, 400)
    right = np.arange(400) < 200
    right[200:240:2] = True
    curve = rejection_curve(confidence, right, 400)
    promise = keep_promise(curve, 400, accuracy=0.95)
    assert promise.interval.low >= 0.95 and promise.accuracy > 0.97
    assert promise.threshold == confidence[promise.num_kept - 1]
    for more in range(promise.num_kept + 1, 401):
        assert wilson(right[:more].sum(), more).low < 0.95
    assert keep_promise(curve, 400, accuracy=0.9).num_kept > promise.num_kept


def test_the_promise_is_kept_on_other_pictures():
    """By the point accuracy, every second promise was broken."""
    kept = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        confidence = rng.uniform(0.5, 1, 1000)  # calibrated
        curve = rejection_curve(confidence, rng.random(1000) < confidence)
        threshold = keep_promise(curve, 1000, accuracy=0.8).threshold
        kept.append((threshold + 1) / 2 >= 0.8)  # the mean of all that are at least so confident
    assert np.mean(kept) > 0.9


@pytest.mark.parametrize(
    ("accuracy", "message"),
    [
        (0.9, "was not shown on the 40 pictures.*at best 51.3%.*on the 39 most confident"),
        (0.99, "takes 381 right answers to show, and validation had 40"),
        (1.0, "expected a share above 0 and below 1"),
    ],
)
def test_a_promise_that_cannot_be_kept_is_refused(accuracy, message):
    curve = rejection_curve(np.linspace(1, 0.5, 40), np.arange(40) % 2 == 0)
    with pytest.raises(ValueError, match=message):
        keep_promise(curve, 40, accuracy)


def test_the_fewest_pictures_that_can_show_it():
    """35 right answers of 35: Wilson's interval begins at 35 / (35 + 1.96^2) = 0.9011."""
    curve = rejection_curve(np.linspace(1, 0.5, 35), np.ones(35, bool))
    assert keep_promise(curve, 35, 0.9).num_kept == 35
    with pytest.raises(ValueError, match="takes 35 right answers"):
        keep_promise(curve[:34], 34, 0.9)
