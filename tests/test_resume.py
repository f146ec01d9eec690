"""Resume a run: which settings may differ, which folders are refused; and verify-resume."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from crossent.__main__ import main as crossent_main
from crossent.config import load_settings
from crossent.environment import changes
from crossent.errors import run_main
from crossent.tensor_file import read_tensors, write_tensors
from crossent.training.run_folder import RunFolder
from crossent.verify_resume import first_difference
from tests.forked import ROOT, SMOKE, Command, Mishap, end_of
from train import main as train_main


@pytest.fixture
def copy(smoke_run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(smoke_run.path, path)
    return RunFolder(path)


def contents(folder):
    return {file: file.read_bytes() for file in folder.path.rglob("*") if file.is_file()}


def test_a_finished_run_is_left_untouched(copy):
    before = contents(copy)
    out, _ = Command(copy.path.parent, "--resume", copy.path).end(status=0)
    assert out == f"{copy.path} is finished: epoch 2 is done; nothing to do\n"
    assert contents(copy) == before


def test_settings_that_change_the_result_are_refused_with_all_differences(copy):
    before = contents(copy)
    free = ("data.workers=2", "train.threads=2", "train.timeout_s=9")
    words = ("optim.lr=0.2", "data.flip=0.1", "train.epochs=1", *free)
    _, err = Command(copy.path.parent, *words, "--resume", copy.path).end(2)
    differences = "data.flip: 0.5 -> 0.1; optim.lr: 0.1 -> 0.2; train.epochs: 2 -> 1 (it may only"
    assert f"change its result: {differences} be raised)." in err and err.count("\n") == 1
    assert contents(copy) == before
    copy.config.write_text(copy.config.read_text().replace("lr: 0.1", "lr: 0.3"))  # by hand
    _, err = Command(copy.path.parent, "--resume", copy.path).end(2)
    assert "optim.lr: 0.1 -> 0.3" in err


def test_more_epochs_go_on_and_leave_one_end(copy):
    Command(copy.path.parent, "train.epochs=3", "--resume", copy.path).end(status=0)
    assert [r["kind"] for r in copy.records()] == ["start", "epoch", "epoch", "epoch", "end"]
    assert load_settings(copy.config).settings.train.epochs == 3


@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_files_of_another_version_are_refused_in_one_sentence(copy, capsys, command):
    """Earlier versions had train.minutes, and each saved config has all settings."""
    path = copy.last if command == "resume" else copy.model
    tensors, header = read_tensors(path)
    header["settings"]["train"]["minutes"] = None
    write_tensors(path, tensors, header)
    main = train_main if command == "resume" else crossent_main
    words = ["--resume"] if command == "resume" else [command]

    def refusal(words):
        assert run_main(main, [*words, str(copy.path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "train.minutes is not a setting" in line
        return line

    assert "was written by a version of crossent with other settings" in refusal(words)
    config = copy.config.read_text()
    copy.config.write_text(f"{config}  minutes: null\n  patience: null\n  keep: best\n")
    line = refusal(words if command == "resume" else ["report"])
    assert "train.keep is not a setting" in line and "another version of crossent" in line


def test_what_cannot_be_resumed_is_refused(copy, tmp_path, capsys):
    """Also a run that was killed while it wrote config.yaml."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".config.yaml.x.tmp").touch()
    for words, reason in [
        (("--resume", tmp_path / "empty"), "is not a run folder: it has no config.yaml"),
        (("--resume", tmp_path / "missing"), "is not a run folder: it has no config.yaml"),
        ((*SMOKE, "--resume", copy.path), "has its own settings; leave out -c tests/tiny.yaml"),
    ]:
        assert run_main(train_main, list(map(str, words))) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{words[-1]} {reason}" in line


def test_a_run_killed_before_its_first_checkpoint_starts_again_with_any_settings(
    smoke_run, tmp_path
):
    path = tmp_path / "run"
    mishap = Mishap("killed", "in validation", step=-1)
    Command(tmp_path, *SMOKE, "optim.lr=0.3", "--out", path, mishap=mishap).end(-9)
    Command(tmp_path, "optim.lr=0.1", "--resume", path).end(status=0)
    assert first_difference(smoke_run, RunFolder(path)) is None


def test_changes_of_the_machine_are_listed():
    old = {"threads": 2, "packages": {"torch": "1", "pillow": "3"}, "device": "cpu", "command": "a"}
    new = {"threads": 4, "packages": {"torch": "2", "pillow": "3"}, "device": "cpu", "command": "b"}
    assert changes(old, new) == ["threads: 2 -> 4", "torch: 1 -> 2"]
    assert changes({}, new) == []
    old, new = {"processes": 3, "sums": "gloo"}, {"processes": 3, "sums": "nccl"}
    assert changes(old, new) == ["sums: gloo -> nccl"]


class Forked:
    """A replacement of subprocess.Popen for train.py: a fork, which need not import torch."""

    def __init__(self, words, **_):
        assert words[:2] == [sys.executable, ROOT / "train.py"]
        self.command = Command(Path(words[-1]).parent, *words[2:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.command.process.join()

    def poll(self):
        return self.command.process.exitcode

    def communicate(self, timeout):
        if end_of(self.command.process, timeout) is None:
            raise subprocess.TimeoutExpired("train.py", timeout)
        return "", self.command.files[1].read_text()

    def kill(self):
        self.command.process.kill()

    returncode = property(poll)


@pytest.fixture
def verify(tmp_path, monkeypatch, capsys):
    def call(*words, status):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr("crossent.verify_resume.subprocess.Popen", Forked)
        assert run_main(crossent_main, ["verify-resume", *words]) == status
        assert not list(tmp_path.iterdir())
        return capsys.readouterr()

    return call


def test_verify_resume_kills_and_passes(verify):
    lines = verify("--kills=2", *SMOKE, status=0).out.splitlines()
    assert lines[0].startswith("uninterrupted: ")
    assert [line[:11] for line in lines[1:-1]] == ["kill 1 of 2", "kill 2 of 2"]
    assert lines[-1] == "PASS: the same tensors, the same lines"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("data.folds=2", "takes one run: choose a fold"),
        ("seed=1", "the training ended with status 2"),
    ],
)
def test_verify_resume_reports_why_it_cannot_compare(verify, word, reason):
    err = verify("data.root=/missing", word, status=2).err
    assert reason in err and err.count("\n") == 1


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
