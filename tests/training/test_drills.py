"""SIGKILL wherever it hurts; resumed, every run ends as if nothing had happened."""

import random
import time
from itertools import cycle

import pytest

from crossent.training.run_folder import RunFolder
from crossent.verify_resume import first_difference
from tests.drill import PLACES
from tests.forked import Mishap, end_of, start_run

KILLED, DONE = -9, 0
WHEN = [(1, None), (9, 4)]  # the step, and after how many a checkpoint is written
BEFORE_THE_FIRST_CHECKPOINT = ["after the line of an epoch", "in the middle of a save"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run that nobody kills: mixup, dropout, balanced sampling, label smoothing are all on."""
    folder = RunFolder(tmp_path_factory.mktemp("straight") / "run")
    assert end_of(start_run(folder.path)) == DONE
    return folder


def assert_ends_like(straight, path, every_steps=None):
    assert end_of(start_run(path, every=every_steps)) == DONE
    assert first_difference(straight, RunFolder(path)) is None
    assert not list(path.glob(".*.tmp")), "a killed save has left its temporary file"


@pytest.mark.parametrize(
    ("kills", "every_steps"),
    [
        *[([(place, step)], every) for place, (step, every) in zip(PLACES, cycle(WHEN))],
        *[([(place, -1)], None) for place in BEFORE_THE_FIRST_CHECKPOINT],
        ([("after a step", 8), ("before a step", 10), ("in validation", 12)], 1),
    ],
    ids=str,
)
def test_killed_anywhere_a_run_ends_in_the_same_bytes(straight, tmp_path, kills, every_steps):
    path = tmp_path / "run"
    for place, step in kills:
        assert end_of(start_run(path, Mishap("killed", place, step), every_steps)) == KILLED
        assert (path / "last.safetensors").exists() == (step > 0)
    assert_ends_like(straight, path, every_steps)


def test_killed_at_random_times(straight, tmp_path):
    """Not at places that we thought of, but whenever."""
    path, rng = tmp_path / "run", random.Random(5)
    num_kills = 0
    for _ in range(8):
        process = start_run(path, every=1)
        time.sleep(rng.uniform(0.0, 0.5))
        process.kill()
        num_kills += end_of(process) == KILLED
    assert num_kills > 0
    assert_ends_like(straight, path)
