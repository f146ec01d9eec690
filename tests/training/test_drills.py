"""SIGKILL wherever it hurts; resumed, every run ends as if nothing had happened."""

import random
import time

import pytest

from crossent.drill import PLACES
from crossent.same_run import first_difference
from crossent.training.run_folder import RunFolder
from tests.training import victim

KILLED, DONE = -9, 0
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run that nobody kills: mixup, dropout, balanced sampling, label smoothing are all on."""
    folder = RunFolder(tmp_path_factory.mktemp("straight") / "run")
    assert victim.end_of(victim.start(folder.path)) == DONE
    return folder


def assert_ends_like(straight, path, every_steps=None):
    assert victim.end_of(victim.start(path, every_steps=every_steps)) == DONE
    assert first_difference(straight, RunFolder(path)) is None
    assert not list(path.glob(".*.tmp")), "a killed save has left its temporary file"


@pytest.mark.parametrize(("step", "every_steps"), [(1, None), (9, 4)])
@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_a_run_ends_in_the_same_bytes(straight, tmp_path, place, step, every_steps):
    path = tmp_path / "run"
    killed = victim.end_of(victim.start(path, place, step, every_steps))
    assert killed == KILLED
    assert_ends_like(straight, path, every_steps)


def test_killed_twice_in_one_epoch_and_once_in_its_validation(straight, tmp_path):
    path = tmp_path / "run"
    for place, step in [("after a step", 8), ("before a step", 10), ("in validation", 12)]:
        assert victim.end_of(victim.start(path, place, step, every_steps=1)) == KILLED
    assert_ends_like(straight, path)


def test_killed_before_the_first_checkpoint(straight, tmp_path):
    """The untrained model was being evaluated; or its line was written, but no checkpoint."""
    for place in ("in validation", "after the line of an epoch", "in the middle of a save"):
        path = tmp_path / place
        assert victim.end_of(victim.start(path, place, step=-1)) == KILLED
        assert not (path / "last.safetensors").exists()
        assert_ends_like(straight, path)


def test_killed_between_the_last_line_and_the_last_save(straight, tmp_path):
    path = tmp_path / "run"
    for place in ("before the line of an epoch", "after the line of an epoch"):
        assert victim.end_of(victim.start(path, "after the best model", 17)) in (KILLED, DONE)
        assert victim.end_of(victim.start(path, place, 18)) == KILLED
    assert_ends_like(straight, path)


def test_killed_at_random_times(straight, tmp_path):
    """Not at places that we thought of, but whenever: until the run is over by itself."""
    path, rng = tmp_path / "run", random.Random(5)
    num_kills = 0
    for _ in range(12):
        process = victim.start(path, every_steps=1)
        time.sleep(rng.uniform(0.0, 0.5))
        process.kill()
        num_kills += victim.end_of(process) == KILLED
    assert num_kills > 0
    assert_ends_like(straight, path)
