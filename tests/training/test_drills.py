"""A run killed at any place and resumed ends in the same bytes."""

import random
import time

import pytest

from crossent.training.run_folder import RunFolder
from crossent.verify_resume import first_difference
from tests.forked import Mishap, end_of, start_run
from tests.training.parts import EPOCHS, STEPS_PER_EPOCH

KILLED, DONE = -9, 0
LAST = EPOCHS * STEPS_PER_EPOCH  # 3 epochs of 6 steps
# A place, the first step at which it counts, and the steps between checkpoints (None: 6).
DRILLS = [
    ("after the first line", -1, None),
    ("in the middle of a save", -1, None),  # the first checkpoint
    ("after a save", -1, None),
    ("before a step", 1, None),  # in the middle of the first epoch
    ("after a step", 9, 4),  # in the middle of the second epoch, a step after a checkpoint
    ("in validation", 12, 5),
    ("before the best model", 6, 4),
    ("in the save of the best model", 12, 5),
    ("after the best model", 6, 4),
    ("before the line of an epoch", 12, 5),
    ("after the line of an epoch", 6, 4),
    ("in the middle of a save", 8, 4),  # within an epoch
    ("in the middle of a save", 6, 1),  # at its end
    ("after the last line", LAST, 4),  # before the last save
    ("in the middle of a save", LAST, 4),  # the last save
    ("after a save", LAST, 4),  # nothing is left to do
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Return a run that is not killed, with mixup, dropout, balanced sampling, label smoothing."""
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
        *[([(place, step)], every) for place, step, every in DRILLS],
        ([("after a step", 8), ("before a step", 10), ("in validation", 12)], 1),
    ],
    ids=str,
)
def test_killed_anywhere_a_run_ends_in_the_same_bytes(straight, tmp_path, kills, every_steps):
    path = tmp_path / "run"
    for place, step in kills:
        assert end_of(start_run(path, Mishap("killed", place, step), every_steps)) == KILLED
    assert_ends_like(straight, path, every_steps)


def test_killed_at_random_times(straight, tmp_path):
    """Kill a run at arbitrary moments."""
    path, rng = tmp_path / "run", random.Random(5)
    num_kills = 0
    for _ in range(8):
        process = start_run(path, every=1)
        time.sleep(rng.uniform(0.0, 0.5))
        process.kill()
        num_kills += end_of(process) == KILLED
    assert num_kills > 0
    assert_ends_like(straight, path)
