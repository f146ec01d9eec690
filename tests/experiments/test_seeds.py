"""One config with several seeds: mean, deviation, interval; and comparing such groups."""

import json

import numpy as np
import pytest

from crossent.evaluation.scores import Outputs
from crossent.experiments.group import summarise_seeds
from tests.evaluation.parts import crossent, train
from tests.experiments.parts import TINY, answers


def test_seeds_share_the_pictures_and_are_compared_picture_by_picture(tmp_path):
    path, names = tmp_path / "group", ["seed-5", "seed-6"]
    out, _ = train(*TINY, "seed=5", "--seeds", "2", "--out", path)
    (y, labels, pictures), other = (answers(path / name) for name in names)
    assert np.array_equal(other[1], labels) and other[2] == pictures
    config = (path / "seed-6" / "config.yaml").read_text()
    assert "seed: 6" in config and "  seed: 5" in config  # data.seed is that of the split

    losses = [-np.log(probs[np.arange(len(labels)), labels]) for probs in (y, other[0])]
    assert not np.allclose(*losses)
    found, means = json.loads((path / "summary.json").read_text()), np.mean(losses, axis=1)
    assert found["E"]["mean"]["value"] == pytest.approx(means.mean(), rel=1e-5)
    assert found["E"]["standard_deviation"] == pytest.approx(means.std(ddof=1), rel=1e-3)
    assert found["E"]["mean"]["low"] < means.mean() < found["E"]["mean"]["high"]
    assert [seed["run"] for seed in found["seeds"]] == names
    assert f"{means.mean():.4f}" in out and "2 seeds, the same 12 validation pictures" in out

    words = ("compare", path / "seed-5", path)
    text, facts = crossent(*words)[0], json.loads(crossent(*words, "--json")[0])
    assert text.startswith("12 pictures, the same for all")
    assert "group minus seed-5" in text and "group/seed-6" in text
    (comparison,) = facts["comparisons"]
    assert comparison["second"] == "group"
    assert comparison["E"]["value"] == pytest.approx(means.mean() - means[0], rel=1e-4)


def test_the_interval_of_a_share_stays_between_0_and_1():
    """Two seeds that differ much have a wide interval: Student's t of one degree of freedom."""
    right = np.array([[1] * 9 + [0], [1] * 4 + [0] * 6])
    text, facts = summarise_seeds([Outputs(np.eye(2)[1 - r], np.zeros(10, int)) for r in right])
    assert facts["accuracy"]["mean"] == {"value": 0.65, "low": 0.0, "high": 1.0}
    assert "0.0% to 100.0%" in text and facts["E"]["mean"]["low"] >= 0
