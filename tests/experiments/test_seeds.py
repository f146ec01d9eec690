"""One config with several seeds: mean, deviation, interval; and comparing such groups."""

import json

import numpy as np
import pytest

from crossent.evaluation.scores import Outputs
from crossent.experiments.compare import compare_runs
from crossent.experiments.group import summarise_seeds
from tests.experiments.parts import answers
from tests.forked import Command
from tests.training.parts import CPU

SMOKE = ("-c", "tests/tiny.yaml", "train.threads=1")
SEEDS = ("seed-5", "seed-6")


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    command = Command(folder, *SMOKE, "seed=5", "--seeds", "2", "--out", folder / "group")
    return folder / "group", command.end(status=0)[0]


def test_seeds_share_the_pictures_and_differ_in_the_rest(group):
    first, second = (answers(group[0] / name) for name in SEEDS)
    assert np.array_equal(first[1], second[1]) and first[2] == second[2]
    assert not np.allclose(first[0], second[0])
    config = (group[0] / "seed-6" / "config.yaml").read_text()
    assert "seed: 6" in config and "  seed: 5" in config


def test_mean_and_standard_deviation(group):
    path, out = group
    found = json.loads((path / "summary.json").read_text())
    losses = []
    for name in SEEDS:
        y, labels, _ = answers(path / name)
        losses.append(-np.log(y[np.arange(len(labels)), labels]))
    means = np.mean(losses, axis=1)
    assert found["E"]["mean"]["value"] == pytest.approx(means.mean(), rel=1e-5)
    assert found["E"]["standard_deviation"] == pytest.approx(means.std(ddof=1), rel=1e-3)
    assert found["E"]["mean"]["low"] < means.mean() < found["E"]["mean"]["high"]
    assert [seed["run"] for seed in found["seeds"]] == list(SEEDS)
    assert f"{means.mean():.4f}" in out and "2 seeds, the same 12 validation pictures" in out


def test_the_interval_of_a_share_stays_between_0_and_1():
    """Two seeds that differ much have a wide interval: Student's t of one degree of freedom."""
    right = np.array([[1] * 9 + [0], [1] * 4 + [0] * 6])
    text, facts = summarise_seeds([Outputs(np.eye(2)[1 - r], np.zeros(10, int)) for r in right])
    assert facts["accuracy"]["mean"] == {"value": 0.65, "low": 0.0, "high": 1.0}
    assert "0.0% to 100.0%" in text and facts["E"]["mean"]["low"] >= 0


def test_groups_are_compared_picture_by_picture(group):
    path, _ = group
    text, facts = compare_runs([path / "seed-5", path], None, CPU)
    assert text.startswith("12 pictures, the same for all")
    assert "group minus seed-5" in text and "group/seed-6" in text
    (comparison,) = facts["comparisons"]
    Es = [run["E"]["value"] for run in facts["runs"]]
    assert comparison["second"] == "group"
    assert comparison["E"]["value"] == pytest.approx((Es[1] + Es[2]) / 2 - Es[0])
