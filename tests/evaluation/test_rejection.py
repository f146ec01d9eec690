"""Rejection: the curve against counting by hand, and promises that are kept or refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossent.evaluation import rejection
from crossent.evaluation.rejection import keep_promise, rejection_curve

answers = st.lists(st.tuples(st.sampled_from([0.4, 0.5, 0.7, 0.9, 1.0]), st.booleans()), min_size=1)


@given(answers)
def test_every_point_counts_the_answers_at_least_so_sure(pairs):
    confidence, right = (np.array(column) for column in zip(*pairs, strict=True))
    curve = rejection_curve(confidence, right)
    assert [point[0] for point in curve] == sorted(set(confidence.tolist()), reverse=True)
    for threshold, coverage, accuracy in curve:
        kept = [r for c, r in pairs if c >= threshold]
        assert coverage == pytest.approx(len(kept) / len(pairs))
        assert accuracy == pytest.approx(sum(kept) / len(kept))


def test_a_long_curve_is_thinned_but_keeps_its_ends():
    confidence = np.linspace(0.4, 1.0, 5000)
    curve = rejection_curve(confidence, confidence > 0.5, num_points=100)
    assert len(curve) == 100
    assert (curve[0][0], curve[-1][0]) == (1.0, 0.4)
    assert curve[-1][1] == 1.0


def test_the_promise_answers_as_many_as_the_accuracy_allows():
    """Of 100 answers the surest 40 are all right, the next 10 half, the rest wrong."""
    confidence = np.linspace(1.0, 0.5, 100)
    right = np.arange(100) < 40
    right[40:50:2] = True
    promise = keep_promise(rejection_curve(confidence, right), 100, accuracy=0.95)
    assert (promise.num_kept, promise.accuracy) == (45, pytest.approx(43 / 45))
    assert promise.threshold == confidence[44]


def test_the_interval_is_wilsons():
    """Values of the textbook case 8 of 10 (Newcombe 1998, method 3): 0.4902 to 0.9433."""
    low, high = rejection.Promise(0.5, 0.1, 0.8, 100).interval
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


@pytest.mark.parametrize(
    ("accuracy", "message"),
    [
        (0.9, "not reached on the 40 pictures of validation.* at most 54.5%, on the surest 11"),
        (0.99, "takes 100 answers to measure, and validation had 40"),
        (1.0, "expected a share above 0 and below 1"),
    ],
)
def test_a_promise_that_cannot_be_kept_is_refused(accuracy, message):
    curve = rejection_curve(np.linspace(1, 0.5, 40), np.arange(40) % 2 == 0)
    with pytest.raises(ValueError, match=message):
        keep_promise(curve, 40, accuracy)
