import math
from itertools import pairwise

import pytest

from crossent.training.schedule import lr_at


def rates(**changes):
    arguments = {"num_steps": 100, "lr": 0.4, "warmup": 0.1, "final": 0.0, **changes}
    return [lr_at(step, **arguments) for step in range(arguments["num_steps"])]


def test_warmup_rises_in_equal_steps_to_the_peak():
    assert rates()[:10] == pytest.approx([0.04 * n for n in range(1, 11)])


def test_cosine_falls_from_the_peak_to_the_final_share():
    lrs = rates()
    assert lrs[10] == max(lrs) == 0.4
    assert lrs[55] == pytest.approx(0.2)  # half way down
    assert all(a > b for a, b in pairwise(lrs[10:]))
    assert 0 < lrs[-1] < 0.001
    assert rates(final=0.5)[-1] == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_no_warmup_and_only_warmup(warmup):
    lrs = rates(warmup=warmup)
    assert max(lrs) == pytest.approx(0.4)
    assert all(math.isfinite(lr) and lr > 0 for lr in lrs)


def test_one_step():
    assert lr_at(0, num_steps=1, lr=0.4, warmup=0.1, final=0.0) == 0.4
