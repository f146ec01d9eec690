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
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run that nobody kills: mixup, dropout, balanced sampling, label smoothing are all on."""
    folder = RunFolder(tmp_path_factory.mktemp("straight") / "run")
    assert end_of(start_run(folder.path)) == DONE
    return folder


def kill(path, place, step, every_steps=None):
    assert end_of(start_run(path, Mishap("killed", place, step), every_steps)) == KILLED


def assert_ends_like(straight, path, every_steps=None):
    assert end_of(start_run(path, every=every_steps)) == DONE
    assert first_difference(straight, RunFolder(path)) is None
    assert not list(path.glob(".*.tmp")), "a killed save has left its temporary file"


@pytest.mark.parametrize(
    ("place", "step", "every_steps"),
    [(place, *when) for place, when in zip(PLACES, cycle([(1, None), (9, 4)]))],
)
def test_killed_anywhere_a_run_ends_in_the_same_bytes(straight, tmp_path, place, step, every_steps):
    kill(tmp_path / "run", place, step, every_steps)
    assert_ends_like(straight, tmp_path / "run", every_steps)


def test_killed_twice_in_one_epoch_and_once_in_its_validation(straight, tmp_path):
    for place, step in [("after a step", 8), ("before a step", 10), ("in validation", 12)]:
        kill(tmp_path / "run", place, step, every_steps=1)
    assert_ends_like(straight, tmp_path / "run")


@pytest.mark.parametrize("place", ["after the line of an epoch", "in the middle of a save"])
def test_killed_before_the_first_checkpoint(straight, tmp_path, place):
    kill(tmp_path / "run", place, step=-1)
    assert not (tmp_path / "run" / "last.safetensors").exists()
    assert_ends_like(straight, tmp_path / "run")


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
