"""A training that is killed, stopped or hindered goes on, and ends in the same bytes."""

import itertools
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from crossent.model_file import read_tensors
from crossent.resume import first_difference
from crossent.training.run_folder import RunFolder
from crossent.training.signals import StopRequest
from tests.forked import SMOKE, Command, Mishap

STATUS = {
    "killed": -9, "SIGTERM": 143, "SIGTERM twice": 143, "SIGINT": 130, "SIGHUP": 129,
    "no terminal": 129, "disk full": 2,
}  # fmt: skip
RESUME = "resume with: python train.py --resume RUN\n"
SAVED = f"saved in RUN/last.safetensors; {RESUME}"
# By the steps between two checkpoints, what happens to one run: a mishap, the place, the first step
# at which it counts, and the end of what the command prints. An epoch has three steps.
DRILLS = {
    1000: [  # only the first and the last checkpoint
        ("SIGTERM", "in validation", 0, f"SIGTERM: there is nothing to save yet; {RESUME}"),
        ("killed", "after the first line", 0, ""),
        ("killed", "in the middle of a save", 0, ""),
        ("killed", "after a save", 0, ""),
        ("killed", "before a step", 1, ""),
        ("killed", "after the line of an epoch", 3, ""),
        ("killed", "after the last line", 6, ""),
    ],
    2: [
        ("killed", "in validation", 0, ""),  # of the untrained model
        ("killed", "in the middle of a save", 2, ""),
        ("killed", "after a step", 3, ""),
        ("killed", "before the best model", 3, ""),
        ("killed", "in the save of the best model", 3, ""),
        ("killed", "after the best model", 3, ""),
        ("killed", "before the line of an epoch", 3, ""),
        ("disk full", "after a step", 4, "RUN/last.safetensors: cannot be written: File too large"),
        ("killed", "in the middle of a save", 6, ""),
        ("killed", "after a save", 6, ""),
    ],
    1: [
        ("killed", "in validation", 0, ""),
        ("SIGHUP", "in the middle of a save", 1, f"SIGHUP: {SAVED}"),
        ("killed", "after a step", 2, ""),
        ("killed", "in the middle of a save", 3, ""),
        ("SIGINT", "before a step", 3, f"SIGINT: {SAVED}"),
        ("SIGTERM twice", "in the middle of a save", 5, ""),  # the second ends it at once
        ("no terminal", "in validation", 6, ""),
        ("killed", "after the last line", 6, ""),
        ("SIGINT", "before the report", 6, "SIGINT: the run is saved; write its report: python -m"),
    ],
}


@pytest.mark.parametrize("every", DRILLS)
def test_interrupted_anywhere_a_run_ends_in_the_same_bytes(smoke_run, tmp_path, every):
    run, saving = RunFolder(tmp_path / "run"), f"train.checkpoint_every={every} steps"
    words = (*SMOKE, "optim.lr=0.3", "--out")  # before its first checkpoint, a run may change
    for what, place, step, expected in DRILLS[every]:
        hindered = Command(tmp_path, *words, run.path, mishap=Mishap(what, place, step))
        out, err = hindered.end(STATUS[what])
        assert expected.replace("RUN", str(run.path)) in (err if what == "disk full" else out)
        assert err.count("\n") == (what == "disk full"), err
        assert what != "SIGTERM twice" or "saved" not in out
        words = ("optim.lr=0.1", saving, "--resume")
    Command(tmp_path, *words, run.path).end(status=0)
    assert first_difference(smoke_run, run) is None
    assert not list(run.path.glob(".*.tmp")), "a killed save has left its temporary file"
    start, *epochs, _ = run.records()
    for split, name in itertools.product(("train", "val"), ("E", "accuracy")):
        points = [(r["epoch"], pytest.approx(r[split][name], rel=1e-6)) for r in epochs]
        if (split, name) == ("val", "E"):
            points.insert(0, (0, pytest.approx(start["E"], rel=1e-6)))
        assert curve(run, f"{name}/{split}") == points, "TensorBoard has each epoch once"


def curve(run, name):
    found = EventAccumulator(str(run.tensorboard), size_guidance={"scalars": 0})
    found.Reload()
    return [(event.step, event.value) for event in found.Scalars(name)]


@pytest.mark.parametrize("every", ["2 steps", "1e-9"])
def test_checkpoints_within_an_epoch_are_by_steps_or_by_time(tmp_path, every):
    words = (*SMOKE, f"train.checkpoint_every={every}", "--out", tmp_path / "run")
    Command(tmp_path, *words, mishap=Mishap("killed", "before a step", 2)).end(-9)
    progress = read_tensors(tmp_path / "run" / "last.safetensors")[1]["progress"]
    assert (progress["epoch"], progress["batch"]) == (0, 2)


def test_nohup_keeps_sighup_ignored(monkeypatch):
    installed = []
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_IGN)
    monkeypatch.setattr(signal, "signal", lambda signum, handler: installed.append(signum))
    StopRequest().install()
    assert installed == [signal.SIGINT, signal.SIGTERM]


def test_a_run_goes_on_without_a_reader_of_its_output(smoke_run, tmp_path):
    run = RunFolder(tmp_path / "run")
    mishap = Mishap("no reader", "before a step")
    out, err = Command(tmp_path, *SMOKE, "--out", run.path, mishap=mishap).end(status=0)
    assert err == "" and out.endswith("left\n"), "the headings are the last line"
    assert first_difference(smoke_run, run) is None and run.report.exists()


def test_torch_does_not_import_its_compiler(tmp_path):
    """It does so on many occasions, which takes 0.75 s."""
    mishap = Mishap("no compiler", "after a step")
    Command(tmp_path, *SMOKE, "--dry-run", mishap=mishap).end(status=0)


def test_a_second_training_in_the_same_folder_is_refused(mistake, tmp_path):
    run = RunFolder(tmp_path / "run")
    mishap = Mishap("asleep", "after a step")
    first = Command(tmp_path, *SMOKE, "--out", run.path, mishap=mishap)
    first.wait_for(run.last.exists)
    for words in (("--resume", run.path), (*SMOKE, "--out", run.path)):
        assert f"{run.path} is in use by another training; wait for its end" in mistake(*words)
    first.process.kill()
    first.end(-9)


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into Linux's /proc")
def test_a_signal_while_drawing_ends_the_workers(tmp_path):
    """Decoding uses the same pool of workers."""
    command = Command(tmp_path, *SMOKE, "data.num_images=60000", "--out", tmp_path / "run")
    pid = command.process.pid
    command.wait_for(lambda: children(pid))
    time.sleep(0.3)
    workers = children(pid)
    os.kill(pid, signal.SIGTERM)
    out, err = command.end(143, timeout_s=10)
    assert "SIGTERM: there is nothing to save yet" in out and err == ""
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker is still running after its training has ended"
        time.sleep(0.05)
