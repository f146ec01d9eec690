"""Scores and their intervals, against scikit-learn and scipy."""

import json
import tracemalloc
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from crossent.evaluation.confidence import calibration
from crossent.evaluation.intervals import bootstrap, resamples, wilson
from crossent.evaluation.measure import tables
from crossent.evaluation.scores import Outputs, resampled_recall, score
from tests.evaluation.parts import make_outputs


@pytest.mark.parametrize(("successes", "count"), [(0, 5), (5, 5), (1, 3), (57, 80), (8000, 10000)])
def test_wilson_against_scipy(successes, count):
    found = wilson(successes, count)
    expected = stats.binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert found == pytest.approx((successes / count, expected.low, expected.high), abs=1e-12)


def test_the_bootstrap_agrees_with_scipys():
    values = np.random.default_rng(2).normal(size=60)
    [found] = bootstrap(lambda counts: (counts @ values / 60)[:, None], 60)
    other = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=0)
    assert found.value == pytest.approx(values.mean())
    assert found[1:] == pytest.approx(tuple(other.confidence_interval), abs=0.03)


@pytest.mark.parametrize("num_classes", [2, 3, 100])
def test_values_against_scikit_learn(num_classes):
    outputs = make_outputs(num_classes=num_classes)
    scores, answers = score(outputs), (outputs.labels, outputs.predicted)
    options = {"labels": range(num_classes)}
    E = sklearn_metrics.log_loss(outputs.labels, outputs.probs, **options)
    assert scores.E.value == pytest.approx(E, rel=1e-9)
    assert np.array_equal(scores.confusion, sklearn_metrics.confusion_matrix(*answers, **options))
    expected = sklearn_metrics.precision_recall_fscore_support(
        *answers, zero_division=np.nan, **options
    )
    assert scores.support.tolist() == expected[3].tolist()
    columns = (scores.precision, scores.recall, scores.f1, [scores.balanced_accuracy])
    for column, wanted in zip(columns, [*expected[:3], [np.nanmean(expected[1])]], strict=True):
        np.testing.assert_allclose([i.value for i in column], wanted)
        for interval in column:
            assert np.isnan(interval.value) or interval.low <= interval.value <= interval.high
    counts = [scores.confusion[true, predicted] for true, predicted, _ in scores.most_confused()]
    wrong = scores.confusion[~np.eye(num_classes, dtype=bool)]
    assert counts == sorted(wrong[wrong > 0], reverse=True)


def test_the_interval_of_F1_agrees_with_the_bootstrap():
    outputs = make_outputs(num=2000)
    t, y = np.eye(3)[outputs.labels], np.eye(3)[outputs.predicted]
    resampled = bootstrap(lambda c: 2 * (c @ (t * y)) / (c @ (t + y)), len(outputs))
    for direct, other in zip(score(outputs).f1, resampled, strict=True):
        assert direct == pytest.approx(other, abs=0.005)
    never_found = score(Outputs(np.eye(2)[[0, 0, 0, 0]], np.array([0, 0, 1, 1]))).f1[1]
    assert never_found.value == 0 and never_found.high > 0.5, "the bootstrap gives 0 to 0 here"


def test_the_scores_of_a_resample_are_those_of_the_repeated_pictures():
    outputs = make_outputs(num=25)
    counts = next(resamples(25))[:4]
    options = {"labels": range(3), "average": None, "zero_division": np.nan}
    for row, row_recall in zip(counts, resampled_recall(outputs, counts), strict=True):
        repeated = np.repeat(np.arange(25), row.astype(int))
        answers = outputs.labels[repeated], outputs.predicted[repeated]
        np.testing.assert_allclose(row_recall, sklearn_metrics.recall_score(*answers, **options))


def test_resamples_of_many_pictures_and_classes_take_little_memory():
    """A one-hot of the labels alone, (50,000, 1,000) numbers, would be 400 MB."""
    labels = np.random.default_rng(0).integers(0, 1000, 50_000)
    outputs = Outputs(np.broadcast_to(np.eye(1, 1000), (50_000, 1000)), labels)
    assert outputs.right.sum() == (labels == 0).sum()
    counts = next(resamples(50_000))
    tracemalloc.start()
    found = resampled_recall(outputs, counts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == (5, 1000) and peak < 20e6


@pytest.mark.parametrize("E", [800.0, 1e30, 1e38])
def test_a_model_that_has_diverged_is_evaluated_too(E):
    outputs = Outputs(np.array([[0.0, E], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores, words = score(outputs), calibration(outputs)
    text = tables(scores, ["dog", "fox"])
    assert scores.E.value == pytest.approx(E / 3, rel=1e-3)
    assert len(max(text.splitlines(), key=len)) < 150
    assert "Mean confidence" in words
    json.dumps(scores.to_dict(["dog", "fox"]), allow_nan=False)


def test_undefined_scores_are_null_in_json_and_a_dash_in_the_table():
    """No picture is a fox, and none is predicted to be one."""
    names, scores = (
        ["dog", "fox", "wolf"],
        score(Outputs(np.eye(3)[[0, 2, 0]], np.array([0, 2, 2]))),
    )
    found = json.loads(json.dumps(scores.to_dict(names), allow_nan=False))
    undefined = {"precision": None, "recall": None, "f1": None, "support": 0}
    assert found["per_class"]["fox"] == undefined
    assert found["per_class"]["wolf"]["recall"]["value"] == 0.5
    assert found["confusion_matrix"] == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]
    assert found["num_images"] == 3
    (row,) = [line for line in tables(scores, names).splitlines() if line.startswith("fox ")][:1]
    assert row.split() == ["fox", "-", "-", "-", "0"]


def test_one_picture_can_be_evaluated():
    outputs = Outputs(np.array([[1.0, 0.0]]), np.array([0]))
    scores = score(outputs)
    assert scores.accuracy.value == 1 and scores.accuracy.low < 0.5
    assert scores.E.low == scores.E.value == scores.E.high
    assert "accuracy 100.0%" in calibration(outputs)
