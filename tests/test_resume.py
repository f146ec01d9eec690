"""Resume a run: which settings may differ, which folders are refused; and verify-resume."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from crossent.config import load_settings
from crossent.model_file import read_tensors, write_tensors
from crossent.resume import first_difference
from tests.forked import ROOT, SMOKE, Command


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
    assert not list(tmp_path.iterdir())


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
