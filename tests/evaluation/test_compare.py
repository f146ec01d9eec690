from functools import partial

import numpy as np
import pytest
from scipy import stats

from crossent.evaluation.compare import Side, compare, paired_bootstrap, paired_interval
from crossent.evaluation.scores import Outputs


def side(name, *right):
    """Return a side with one run per row of `right`, correct where the row is true."""
    labels = np.arange(len(right[0])) % 2
    return Side(name, [Outputs(np.eye(2)[np.where(r, labels, 1 - labels)], labels) for r in right])


def test_the_better_run_is_named():
    """200 pictures; the second predicts 12 more and 2 fewer correctly."""
    was, now = np.arange(200) < 150, np.arange(200) < 162
    now[:2] = False
    found = compare(side("a", was), side("b", now))
    assert found.accuracy.value == pytest.approx(0.05)
    assert found.gained.tolist() == list(range(150, 162)) and found.lost.tolist() == [0, 1]
    assert found.distinguishable and found.sentence.startswith("b is better: 5.0 points more")
    assert found.E.value < 0 and found.E.high < 0
    assert compare(side("b", now), side("a", was)).sentence == found.sentence


def test_indistinguishable_runs_are_called_so():
    a = side("a", np.arange(200) < 150)
    found = compare(a, side("b", (np.arange(200) < 156) & (np.arange(200) > 3)))
    assert not found.distinguishable
    assert found.sentence.startswith("b and a are 1.0 points apart, -")
    assert found.sentence.endswith(": not distinguishable")
    alike = compare(a, a)
    assert alike.accuracy.low < 0 < alike.accuracy.high, "equality is not certain"
    assert "0.0 points apart" in alike.sentence


def test_a_difference_of_accuracies_is_from_minus_1_to_1():
    first, second = ([np.arange(20) < n for n in counts] for counts in ((0, 18), (10, 20)))
    found = compare(side("a", *first), side("b", *second))
    assert found.accuracy == pytest.approx((0.3, -1, 1))


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    cells = rng.multinomial(80, [0.7, 0.12, 0.08, 0.1], size=1000)  # both, gained, lost, neither
    found = [paired_interval(int(g), int(lo), 80) for _, g, lo, _ in cells]
    assert 0.93 < np.mean([i.low <= 0.04 <= i.high for i in found]) < 0.98


@pytest.mark.parametrize("num_runs", [3, 5])
@pytest.mark.parametrize("of_both", [0.0, 5.0], ids=["by run", "by run and picture"])
def test_the_interval_of_few_runs_covers_the_truth(num_runs, of_both):
    """Draw the effects of runs, of pictures and of both: 95 % of the intervals or more have 0."""
    rng = np.random.default_rng(0)
    inside = []
    for seed in range(400):
        sides = rng.normal(size=(2, num_runs, 1)) + of_both * rng.normal(size=(2, num_runs, 30))
        sides += 3 * rng.normal(size=(2, 1, 30))
        found = paired_bootstrap(sides[0], sides[1], seed)
        inside.append(found.low <= 0 <= found.high)
    assert 0.925 < np.mean(inside) < 0.995


@pytest.mark.parametrize(("num_first", "num_second"), [(4, 6), (1, 6), (1, 2)])
def test_the_difference_of_runs_is_that_of_scipy(num_first, num_second):
    """If only runs differ: Welch's test, or Student's against a single run, which has no spread."""
    rng = np.random.default_rng(0)
    was, now = rng.normal(size=num_first), rng.normal(1, 3, size=num_second)
    found = paired_bootstrap(was[:, None] * np.ones(9), now[:, None] * np.ones(9))
    welch = partial(stats.ttest_ind, now, was, equal_var=False)
    expected = welch() if num_first > 1 else stats.ttest_1samp(now - was, 0)
    tolerance = (0.12 if num_second == 2 else 0.08) * (found.high - found.low)
    assert found[1:] == pytest.approx(tuple(expected.confidence_interval()), abs=tolerance)
