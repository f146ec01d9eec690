"""Faults of a disk and damaged files: one line with the path, and the old checkpoint stays."""

import os
import shutil
import signal
import time

import pytest
import torch

from crossent.errors import UserError, run_main
from crossent.tensor_file import read_tensors, write_tensors
from crossent.training.run_folder import RunFolder
from crossent.verify_resume import first_difference
from tests.forked import SMOKE, Command, Mishap


@pytest.fixture(scope="module")
def one_step(tmp_path_factory):
    """Return a run that was stopped after its first step."""
    folder = tmp_path_factory.mktemp("stopped")
    mishap = Mishap("SIGTERM", "after a step")
    Command(folder, *SMOKE, "--out", folder / "run", mishap=mishap).end(143)
    return folder / "run"


@pytest.fixture
def stopped(one_step, tmp_path):
    """Return a copy of the run, to be damaged."""
    shutil.copytree(one_step, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def the_line(folder, *words, mishap=None):
    """Return the error, one line, of a command that ends with status 2."""
    _, err = Command(folder, *words, mishap=mishap).end(2)
    assert err.count("\n") == 1 and err.startswith("error: "), err
    return err


def test_a_full_disk_leaves_the_old_checkpoint(smoke_run, tmp_path):
    run = RunFolder(tmp_path / "run")
    mishap = Mishap("disk full", "after a step", step=3)
    message = the_line(tmp_path, *SMOKE, "--out", run.path, mishap=mishap)
    assert f"{run.last}: cannot be written: File too large" in message
    progress = read_tensors(run.last)[1]["progress"]
    assert (progress["epoch"], progress["batch"]) in [(0, 2), (1, 0)]
    assert not list(run.path.glob(".*.tmp"))
    Command(tmp_path, "--resume", run.path).end(status=0)
    assert first_difference(smoke_run, run) is None


def test_a_folder_that_is_removed_or_cannot_be_made_is_named(tmp_path):
    run = tmp_path / "run"
    mishap = Mishap("folder removed", "after a step")
    message = the_line(tmp_path, *SMOKE, "--out", run, mishap=mishap)
    assert f"{run / 'metrics.jsonl'}: No such file" in message
    run.touch()
    message = the_line(tmp_path, *SMOKE, "--out", run / "below")
    assert f"{run / 'below'}: Not a directory" in message


def damage(path, name, value):
    """Change a tensor or an entry of the header, and the checksums with it."""
    tensors, header = read_tensors(path)
    if value is None:
        del tensors[name]
    elif isinstance(value, torch.Tensor):
        tensors[name] = value
    elif isinstance(value, float):
        tensors[name].view(-1)[0] = value
    else:
        header[name] = value
    write_tensors(path, tensors, {k: v for k, v in header.items() if "sha256" not in k})


HEAD, MOMENTUM = "model.head.weight", "optimizer.momentum_buffer.head.weight"
DAMAGES = {
    "other kind": (("kind", "other"), "is not a checkpoint but a file of kind 'other'"),
    "lacks a weight": ((HEAD, None), "another model: head.weight is missing in the file"),
    "shape": (("model.head.bias", torch.zeros(7)), "head.bias is (7,) in the file and (3,) in"),
    "NaN weight": ((HEAD, float("nan")), f"{HEAD} contains numbers that are not finite"),
    "infinite momentum": ((MOMENTUM, float("inf")), f"{MOMENTUM} contains numbers that are not"),
    "classes": (
        ("class_names", ["dog", "no", "wolf"]),
        "other classes (['dog', 'no', 'wolf'], now",
    ),
    "pictures": (("data_fingerprint", "0" * 64), "other pictures (000000000000, now"),
}
MODEL_DAMAGES = {
    "a checkpoint": (("kind", "checkpoint"), "is not a model but a file of kind 'checkpoint'"),
    "NaN weight": (("head.bias", float("nan")), "head.bias contains numbers that are not"),
    "classes": (("class_names", ["dog", "fox"]), "head.weight is (3, 64) in the file and (2, 64)"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_refused_by_name(stopped, name):
    change, reason = DAMAGES[name]
    damage(stopped.last, *change)
    before = stopped.last.read_bytes()
    message = the_line(stopped.path.parent, "--resume", stopped.path)
    assert str(stopped.last) in message and reason in message
    assert stopped.last.read_bytes() == before


@pytest.mark.parametrize("name", MODEL_DAMAGES)
def test_a_damaged_model_is_refused_by_name(smoke_run, tmp_path, name):
    change, reason = MODEL_DAMAGES[name]
    model = tmp_path / "model.safetensors"
    shutil.copy(smoke_run.model, model)
    damage(model, *change)
    message = the_line(tmp_path, "crossent", "evaluate", tmp_path)
    assert str(model) in message and reason in message


def test_lines_of_the_log_that_are_missing_are_noticed(stopped):
    stopped.metrics.write_text("")
    message = the_line(stopped.path.parent, "--resume", stopped.path)
    assert f"{stopped.metrics} has 0 complete lines" in message


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("mend it"), "error: mend it\n"),
        (OSError(28, "No space left", "run/a"), "error: run/a: No space left\n"),
        (OSError("torch cannot map memory"), None),
        (ValueError("operands could not be broadcast"), None),
    ],
    ids=["user", "file", "OSError of a library", "ValueError of a library"],
)
def test_only_mistakes_of_the_user_come_without_a_traceback(capsys, error, message):
    def fail(_):
        raise error

    if message is None:
        with pytest.raises(type(error)):
            run_main(fail, [])
    else:
        assert run_main(fail, []) == 2
        assert capsys.readouterr().err == message


def test_a_second_training_in_the_same_folder_is_refused(smoke_run, tmp_path):
    run = RunFolder(tmp_path / "run")
    mishap = Mishap("asleep", "after a step")
    first = Command(tmp_path, *SMOKE, "--out", run.path, mishap=mishap)
    deadline = time.monotonic() + 60
    while not run.last.exists():
        assert time.monotonic() < deadline and first.process.is_alive()
        time.sleep(0.02)
    for words in (("--resume", run.path), (*SMOKE, "--out", run.path)):
        message = the_line(tmp_path, *words)
        assert f"{run.path} is in use by another training; wait for its end" in message
    os.kill(first.process.pid, signal.SIGKILL)
    first.end(-9)
    Command(tmp_path, "--resume", run.path).end(status=0)  # a killed process keeps no lock
    assert first_difference(smoke_run, run) is None
