"""Resuming: what may change, what is refused, damaged files, and runs of other versions."""

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from crossent.config import load_settings
from crossent.errors import UserError, run_main
from crossent.model_file import read_tensors, write_tensors
from crossent.resume import first_difference
from tests.forked import ROOT, SMOKE, Command, Mishap


def contents(folder):
    return {file: file.read_bytes() for file in folder.path.rglob("*") if file.is_file()}


def test_a_finished_run_is_left_untouched(copy, command):
    before = contents(copy)
    out = command("--resume", copy.path).out
    assert out == f"{copy.path} is finished: epoch 2 is done; nothing to do\n"
    assert contents(copy) == before


def test_settings_that_change_the_result_are_refused_with_all_differences(copy, mistake):
    before = contents(copy)
    free = ("data.workers=2", "train.threads=2", "train.timeout_s=9")
    words = ("optim.lr=0.2", "loss.class_weights=[1, 1, 2]", "train.epochs=1", *free)
    err = mistake(*words, "--resume", copy.path)
    assert "change its result: loss.class_weights: none -> [1.0, 1.0, 2.0]; " in err
    assert "; optim.lr: 0.1 -> 0.2; train.epochs: 2 -> 1 (it may only be raised)." in err
    assert contents(copy) == before
    copy.config.write_text(copy.config.read_text().replace("lr: 0.1", "lr: 0.3"))  # by hand
    assert "optim.lr: 0.1 -> 0.3" in mistake("--resume", copy.path)


def test_more_epochs_go_on_and_leave_one_end(copy):
    """The changes of the machine are listed, and the time goes on."""
    before = copy.records()[-2]["elapsed_s"]
    old = json.loads(copy.environment.read_text())
    old |= {"threads": 7, "sums": "nccl", "packages": {**old["packages"], "torch": "1"}}
    copy.environment.write_text(json.dumps(old))
    config = copy.config.read_text()  # earlier versions had data.on_bad
    copy.config.write_text(config.replace("data:\n", "data:\n  on_bad: skip\n"))
    start = time.perf_counter()
    out, _ = Command(copy.path.parent, "train.epochs=3", "--resume", copy.path).end(status=0)
    warnings = [line.split()[1] for line in out.splitlines() if line.endswith("rounding only")]
    assert warnings == ["threads:", "sums:", "torch:"]
    assert [r["kind"] for r in copy.records()] == ["start", "epoch", "epoch", "epoch", "end"]
    assert load_settings(copy.config).settings.train.epochs == 3
    after = copy.records()[-2]["elapsed_s"]
    assert 0 < before < after < before + time.perf_counter() - start


@pytest.mark.parametrize("of", [["--resume"], ["crossent", "evaluate"]], ids=" ".join)
def test_files_of_another_version_are_refused_in_one_sentence(copy, mistake, of):
    """Earlier versions had train.minutes, and each saved config has all settings."""
    path = copy.last if "--resume" in of else copy.model
    tensors, header = read_tensors(path)
    header["settings"]["train"]["minutes"] = None
    write_tensors(path, tensors, header)
    err = mistake(*of, copy.path)
    assert "train.minutes is not a setting" in err
    assert "another version of crossent" in err
    config = copy.config.read_text()
    copy.config.write_text(f"{config}  minutes: null\n  patience: null\n  keep: best\n")
    err = mistake(*(of if "--resume" in of else ["crossent", "report"]), copy.path)
    assert "train.minutes is not a setting" in err and "train.keep is not a setting" in err
    assert "another version of crossent" in err


def test_what_cannot_be_resumed_is_refused(tmp_path, mistake):
    """Also a run that was killed while it wrote config.yaml."""
    (tmp_path / ".config.yaml.x.tmp").touch()
    for path in (tmp_path, tmp_path / "missing"):
        err = mistake("--resume", path)
        assert f"{path} is not a run folder: it has no config.yaml" in err
    err = mistake(*SMOKE, "--resume", tmp_path)
    assert f"{tmp_path} has its own settings and folder; leave out -c tests/tiny.yaml" in err


class Forked:
    """A replacement of subprocess.Popen for train.py: a fork, which need not import torch."""

    def __init__(self, words, **_):
        assert words[:2] == [sys.executable, ROOT / "train.py"]
        self.command = Command(Path(words[-1]).parent, *words[2:])
        self.kill = self.command.process.kill

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.command.process.join()

    def poll(self):
        return self.command.process.exitcode

    def communicate(self, timeout):
        self.command.process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("train.py", timeout)
        return "", self.command.files[1].read_text()

    returncode = property(poll)


@pytest.fixture
def forked(tmp_path, monkeypatch):
    """Let verify-resume fork its trainings; check that it leaves no file."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("crossent.resume.subprocess.Popen", Forked)
    yield
    assert not list(tmp_path.glob("crossent-*"))


def test_verify_resume_kills_and_passes(forked, command):
    lines = command("crossent", "verify-resume", "--kills=3", *SMOKE).out.splitlines()
    assert lines[0].startswith("uninterrupted: ")
    assert [line[:11] for line in lines[1:-1]] == [f"kill {number} of 3" for number in (1, 2, 3)]
    assert lines[-1] == "PASS: the same tensors, the same lines"


def test_verify_resume_reports_why_it_cannot_compare(forked, mistake):
    words = ("crossent", "verify-resume", "data.root=/missing")
    assert "takes one run: choose a fold" in mistake(*words, "data.folds=2")
    assert "the training ended with status 2: /missing: no such folder" in mistake(*words)


def test_a_difference_is_named(smoke_run, copy):
    assert first_difference(smoke_run, copy) is None
    lines = copy.metrics.read_text().splitlines(keepends=True)
    copy.metrics.write_text("".join(lines).replace('"best_epoch": ', '"best_epoch": 1'))
    assert first_difference(smoke_run, copy) == "metrics.jsonl: line 4 differs"
    copy.metrics.write_text("".join(lines[:-1]))
    assert first_difference(smoke_run, copy) == "metrics.jsonl: line 4 differs"
    tensors, header = read_tensors(copy.model)
    tensors["head.bias"][0] += 1e-7
    write_tensors(copy.model, tensors, {k: v for k, v in header.items() if "sha256" not in k})
    assert first_difference(smoke_run, copy) == "model.safetensors: head.bias differs"


def test_a_folder_that_is_removed_or_cannot_be_made_is_named(tmp_path, mistake):
    run = tmp_path / "run"
    mishap = Mishap("folder removed", "after a step")
    _, err = Command(tmp_path, *SMOKE, "--out", run, mishap=mishap).end(2)
    assert f"error: {run / 'metrics.jsonl'}: No such file" in err and err.count("\n") == 1
    run.touch()
    err = mistake(*SMOKE, "--out", run / "below")
    assert f"{run / 'below'}: Not a directory" in err


HEAD, MOMENTUM = "model.head.weight", "optimizer.momentum_buffer.head.weight"
CHECKPOINT, MODEL = "last.safetensors", "model.safetensors"
NAN, INF = torch.full((3, 64), math.nan), torch.full((3, 64), math.inf)
DAMAGES = [
    (CHECKPOINT, {"kind": "other"}, "is not a checkpoint but a file of kind 'other'"),
    (CHECKPOINT, {HEAD: None}, "another model: head.weight is missing in the file"),
    (CHECKPOINT, {"model.head.bias": torch.ones(7)}, "head.bias is (7,) in the file and (3,) in"),
    (CHECKPOINT, {HEAD: NAN}, f"{HEAD} contains numbers that are not finite"),
    (CHECKPOINT, {MOMENTUM: INF}, f"{MOMENTUM} contains numbers that are not finite"),
    (CHECKPOINT, {"class_names": ["no", "yes"]}, "other classes (['no', 'yes'], now"),
    (CHECKPOINT, {"data_fingerprint": "0" * 64}, "other pictures (000000000000, now"),
    (MODEL, {"kind": "checkpoint"}, "is not a model but a file of kind 'checkpoint'"),
    (MODEL, {"head.weight": NAN}, "head.weight contains numbers that are not finite"),
    (MODEL, {"class_names": ["no", "yes"]}, "head.weight is (3, 64) in the file and (2, 64)"),
]


@pytest.mark.parametrize(("file", "change", "reason"), DAMAGES)
def test_a_damaged_file_is_refused_by_name(copy, mistake, file, change, reason):
    """Change tensors or entries of the header, and the checksums with them."""
    path = copy.path / file
    tensors, header = read_tensors(path)
    for name, value in change.items():
        (tensors if name in tensors else header)[name] = value
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    write_tensors(path, tensors, {k: v for k, v in header.items() if "sha256" not in k})
    before = path.read_bytes()
    words = ["crossent", "evaluate"] if file == MODEL else ["train.epochs=3", "--resume"]
    err = mistake(*words, copy.path)
    assert str(path) in err and reason in err
    assert path.read_bytes() == before


def test_lines_of_the_log_that_are_missing_are_noticed(copy, mistake):
    copy.metrics.write_text("")
    err = mistake("train.epochs=3", "--resume", copy.path)
    assert f"{copy.metrics} has 0 complete lines" in err


def test_only_mistakes_of_the_user_come_without_a_traceback(capsys):
    def fail(error):
        raise error

    for mistake in (UserError("mend it"), OSError(28, "No space left", "run/a")):
        assert run_main(fail, mistake) == 2
    assert capsys.readouterr().err == "error: mend it\nerror: run/a: No space left\n"
    for error in (OSError("torch cannot map memory"), ValueError("operands of NumPy")):
        with pytest.raises(type(error)):
            run_main(fail, error)
