import math

import numpy as np
import pytest
from scipy import stats

from crossent.evaluation.intervals import bootstrap, resamples, wilson


@pytest.mark.parametrize(("successes", "count"), [(0, 5), (5, 5), (1, 3), (57, 80), (8000, 10000)])
def test_wilson_against_scipy(successes, count):
    found = wilson(successes, count)
    expected = stats.binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert found == pytest.approx((successes / count, expected.low, expected.high), abs=1e-12)


def test_without_pictures_there_is_no_share():
    assert math.isnan(wilson(0, 0).value)
    assert wilson(0, 0).to_dict() is None and wilson(0, 0).text(".3f") == "-"


@pytest.mark.parametrize("num_pictures", [1, 7, 3000])
def test_a_resample_draws_as_many_pictures_as_there_are(num_pictures):
    counts = np.concatenate(list(resamples(num_pictures)))
    assert counts.shape == (2000, num_pictures)
    assert (counts.sum(axis=1) == num_pictures).all()
    error = counts.mean(axis=0) - 1  # each picture is expected once, give or take 1 / 45
    assert np.abs(error).max() < 6 / 45


def test_the_bootstrap_agrees_with_scipys():
    values = np.random.default_rng(2).normal(size=60)
    [found] = bootstrap(lambda counts: (counts @ values / 60)[:, None], 60)
    other = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=0)
    assert found.value == pytest.approx(values.mean())
    assert found[1:] == pytest.approx(tuple(other.confidence_interval), abs=0.03)
