import math

import numpy as np
import pytest
from scipy import stats

from crossent.evaluation.intervals import bootstrap, wilson


@pytest.mark.parametrize(("successes", "count"), [(0, 5), (5, 5), (1, 3), (57, 80), (8000, 10000)])
def test_wilson_against_scipy(successes, count):
    found = wilson(successes, count)
    expected = stats.binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert found == pytest.approx((successes / count, expected.low, expected.high), abs=1e-12)


def test_without_pictures_there_is_no_share():
    assert math.isnan(wilson(0, 0).value)
    assert wilson(0, 0).to_dict() is None and wilson(0, 0).text(".3f") == "-"


def test_the_bootstrap_agrees_with_scipys():
    values = np.random.default_rng(2).normal(size=60)
    [found] = bootstrap(lambda counts: (counts @ values / 60)[:, None], 60)
    other = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=0)
    assert found.value == pytest.approx(values.mean())
    assert found[1:] == pytest.approx(tuple(other.confidence_interval), abs=0.03)
