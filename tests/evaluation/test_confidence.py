"""Calibration, coverage and promised accuracies, against scikit-learn and counts by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from crossent.evaluation.confidence import (
    calibration,
    keep_with_accuracy,
    rejection_curve,
    reliability,
)
from crossent.evaluation.intervals import wilson
from tests.evaluation.parts import make_outputs


def test_bins_against_scikit_learn():
    outputs = make_outputs()
    accuracy, confidence = calibration_curve(outputs.right, outputs.confidence, n_bins=10)
    found, correct, *_ = reliability(outputs).T
    np.testing.assert_allclose(correct, accuracy)
    np.testing.assert_allclose(found, confidence)


@pytest.mark.parametrize(
    ("sharpness", "verdict"),
    [(0.2, "is underconfident"), (1.0, "may be due to chance"), (3.0, "is overconfident")],
)
def test_overconfident_and_underconfident_models_are_recognised(sharpness, verdict):
    outputs = make_outputs(num=1500, sharpness=sharpness)
    found = calibration(outputs)
    assert verdict in found
    for value in (outputs.confidence.mean(), outputs.right.mean()):
        assert f"{value:.1%}" in found


@given(st.lists(st.tuples(st.sampled_from([0.4, 0.5, 0.7, 0.9, 1.0]), st.booleans()), min_size=1))
def test_every_point_counts_the_predictions_of_at_least_that_confidence(pairs):
    confidence, right = (np.array(column) for column in zip(*pairs, strict=True))
    curve = rejection_curve(confidence, right)
    assert [point[0] for point in curve] == sorted(set(confidence.tolist()), reverse=True)
    for threshold, coverage, accuracy in curve:
        kept = [r for c, r in pairs if c >= threshold]
        assert coverage == pytest.approx(len(kept) / len(pairs))
        assert accuracy == pytest.approx(sum(kept) / len(kept))


def test_the_promise_keeps_as_many_as_the_lower_end_of_the_interval_allows():
    """Of 400 predictions, the 200 most confident and half of the next 40 are correct."""
    confidence = np.linspace(1.0, 0.5, 400)
    right = np.arange(400) < 200
    right[200:240:2] = True
    curve = rejection_curve(confidence, right, 400)
    promise = keep_with_accuracy(curve, 400, accuracy=0.95)
    assert promise.interval.low >= 0.95 and promise.accuracy > 0.97
    assert promise.threshold == confidence[promise.num_kept - 1]
    for more in range(promise.num_kept + 1, 401):
        assert wilson(right[:more].sum(), more).low < 0.95


def test_the_promise_is_kept_on_other_pictures():
    """With the accuracy in place of the interval's lower end, half of the promises would fail.

    The curve is thinned to 200 of 1000 points.
    """
    kept = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        confidence = rng.uniform(0.5, 1, 1000)  # calibrated
        curve = rejection_curve(confidence, rng.random(1000) < confidence)
        assert (len(curve), curve[0][0], curve[-1][1]) == (200, confidence.max(), 1)
        threshold = keep_with_accuracy(curve, 1000, accuracy=0.8).threshold
        kept.append((threshold + 1) / 2 >= 0.8)  # the true accuracy above the threshold
    assert np.mean(kept) > 0.9


def test_a_promise_that_cannot_be_kept_is_refused():
    """Wilson's interval of 35 correct predictions of 35 begins at 35 / (35 + 1.96^2) = 0.9011."""
    confidence = np.linspace(1, 0.5, 35)
    right = rejection_curve(confidence, np.ones(35, bool))
    assert keep_with_accuracy(right, 35, 0.9).num_kept == 35
    with pytest.raises(ValueError, match=r"takes 35 pictures; of 34 in validation"):
        keep_with_accuracy(right[:34], 34, 0.9)
    half_right = rejection_curve(confidence, np.arange(35) % 2 == 0)
    with pytest.raises(ValueError, match=r"the 35 most confident have 51.4% \(35.6%"):
        keep_with_accuracy(half_right, 35, 0.9)
