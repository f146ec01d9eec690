import numpy as np
import pytest
from scipy import stats

from crossent.evaluation.compare import (
    Side,
    compare,
    mcnemar,
    paired_bootstrap,
    paired_interval,
    pictures_missing,
)
from crossent.evaluation.intervals import NUM_RESAMPLES
from crossent.evaluation.scores import Outputs
from tests.evaluation.parts import make_outputs


def side(name, *right):
    """A run for each row of `right`: correct in the given places, with y = 0.73."""
    labels = np.arange(len(right[0])) % 2
    return Side(name, [Outputs(np.eye(2)[np.where(r, labels, 1 - labels)], labels) for r in right])


def noisy(num, shares, seed):
    """A side of several runs, correct on these shares of the pictures."""
    rng = np.random.default_rng(seed)
    return side("runs", *(rng.random(num) < share for share in shares))


def test_paired_on_the_same_pictures():
    """200 pictures; the second predicts 12 more and 2 fewer correctly."""
    was, now = np.arange(200) < 150, np.arange(200) < 162
    now[:2] = False
    found = compare(side("a", was), side("b", now))
    assert found.accuracy.value == pytest.approx(0.05)
    assert found.gained.tolist() == list(range(150, 162)) and found.lost.tolist() == [0, 1]
    assert found.distinguishable and found.sentence.startswith("b is better: 5.0 points more")
    assert found.E.value < 0 and found.E.high < 0
    assert compare(side("b", now), side("a", was)).sentence == found.sentence


def test_the_plain_sentence_when_runs_cannot_be_told_apart():
    was, now = np.arange(200) < 150, (np.arange(200) < 156) & (np.arange(200) > 3)
    found = compare(side("a", was), side("b", now))
    assert not found.distinguishable
    assert found.sentence.startswith("b and a are 1.0 points apart, -")
    assert f"not distinguishable; about {found.more_pictures:,} more pictures" in found.sentence


def test_runs_that_agree_are_not_equal_for_certain():
    alike = side("a", np.arange(200) < 150)
    found = compare(alike, alike)
    assert found.accuracy.low < 0 < found.accuracy.high
    assert found.more_pictures is None and found.p_value == 1
    assert "0.0 points apart" in found.sentence


@pytest.mark.parametrize(
    ("gained", "lost"), [(0, 0), (1, 5), (12, 2), (300, 250), (30_300, 30_000)]
)
def test_mcnemar_against_scipy(gained, lost):
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    cells = rng.multinomial(80, [0.7, 0.12, 0.08, 0.1], size=1000)  # both, gained, lost, neither
    found = [paired_interval(int(g), int(lo), 80) for _, g, lo, _ in cells]
    inside = np.mean([i.low <= 0.04 <= i.high for i in found])
    assert 0.93 < inside < 0.98


def test_pictures_missing_gives_four_cases_of_five():
    """Draw as many pictures as it asks for: how often does the interval leave out 0?"""
    rng = np.random.default_rng(0)
    differences = rng.choice([1.0, 0.0, -1.0], 100, p=[0.14, 0.76, 0.10])
    missing = pictures_missing(differences)
    shares = [(differences == value).mean() for value in (1, 0, -1)]
    cells = rng.multinomial(100 + missing, shares, size=500)
    told = [abs((g - lo) / np.sqrt(g + lo)) > 1.96 for g, _, lo in cells]
    assert np.mean(told) == pytest.approx(0.8, abs=0.06)
    assert pictures_missing(np.zeros(5)) is None


@pytest.mark.parametrize("num_pictures", [40, 200])
def test_of_several_runs_p_and_the_interval_say_the_same(num_pictures):
    """McNemar's p of the majority disagreed with the interval in many of these."""
    found = []
    for seed in range(40):
        first, second = (noisy(num_pictures, [0.7 + n / 10] * 3, seed + 100 * n) for n in (0, 1))
        comparison = compare(first, second)
        tie = 2 / NUM_RESAMPLES
        assert (comparison.p_value < 0.05) == comparison.distinguishable or (
            abs(comparison.p_value - 0.05) <= tie
        )
        found.append(comparison.distinguishable)
    assert 0 < np.mean(found), "both outcomes"
    assert np.mean(found) < 1 or num_pictures == 200


def test_the_difference_of_runs_and_its_p_are_those_of_scipy():
    """Welch's, for sides of other numbers of runs that spread otherwise."""
    rng = np.random.default_rng(0)
    was, now = rng.normal(size=4), rng.normal(1, 3, size=6)
    found, p_value = paired_bootstrap(was[:, None] * np.ones(9), now[:, None] * np.ones(9))
    expected = stats.ttest_ind(now, was, equal_var=False)
    tolerance = 0.08 * (found.high - found.low)
    assert found[1:] == pytest.approx(tuple(expected.confidence_interval()), abs=tolerance)
    assert p_value == pytest.approx(expected.pvalue, rel=0.35)


@pytest.mark.parametrize("num_runs", [3, 5])
@pytest.mark.parametrize("of_both", [0.0, 5.0], ids=["apart", "each picture another in each run"])
def test_the_interval_of_few_runs_covers_the_truth(num_runs, of_both):
    """Runs, pictures and what is of both are drawn anew: 0 is inside 95 times of 100, or more."""
    rng = np.random.default_rng(0)
    inside = []
    for seed in range(400):
        sides = rng.normal(size=(2, num_runs, 1)) + of_both * rng.normal(size=(2, num_runs, 30))
        sides += 3 * rng.normal(size=(2, 1, 30))
        found, _ = paired_bootstrap(sides[0], sides[1], seed)
        inside.append(found.low <= 0 <= found.high)
    assert 0.925 < np.mean(inside) < 0.995


def test_a_difference_of_accuracies_stays_within_what_can_be():
    found = compare(noisy(20, [0, 0.9], 0), noisy(20, [0.5, 1], 1))
    assert -1 <= found.accuracy.low < 0 < found.accuracy.high <= 1


def test_other_pictures_are_refused():
    sides = [Side(name, [make_outputs(seed=seed)]) for name, seed in (("a", 0), ("b", 1))]
    with pytest.raises(ValueError, match="a and b were measured on other pictures"):
        compare(*sides)


def test_the_two_intervals_agree_where_there_are_many_pictures():
    rng = np.random.default_rng(0)
    was, now = (rng.random((1, 2000)) < share for share in (0.8, 0.83))
    boot, _ = paired_bootstrap(was.astype(float), now.astype(float))
    gained, lost = int((now & ~was).sum()), int((was & ~now).sum())
    assert paired_interval(gained, lost, 2000) == pytest.approx(boot, abs=0.002)


@pytest.mark.parametrize("num_runs", [2, 6])
def test_the_interval_over_runs_is_that_of_Student(num_runs):
    """Where only runs differ: t s / sqrt(R), for the deviation is not known but measured."""
    means = np.random.default_rng(0).normal(size=num_runs)
    values = means[:, None] * np.ones((num_runs, 50))
    _, low, high = paired_bootstrap(np.zeros((1, 50)), values)[0]
    t = stats.t.ppf(0.975, num_runs - 1)
    expected = 2 * t * means.std(ddof=1) / np.sqrt(num_runs)
    assert high - low == pytest.approx(expected, rel=0.25 if num_runs == 2 else 0.12)
