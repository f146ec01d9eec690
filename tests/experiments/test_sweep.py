"""The command, with trainings: files, kills, several processes, folds."""

import argparse
import csv
import json
import os
import signal
from dataclasses import dataclass

import pytest

from crossent.__main__ import main
from crossent.commands.sweep import resume
from crossent.errors import UserError
from crossent.experiments.space import load_sweep
from crossent.experiments.study import Trials
from crossent.training.run_folder import RunFolder
from crossent.verify_resume import first_difference
from tests import drill, forked
from tests.experiments.parts import draw_folder
from tests.forked import ROOT, Command, Mishap

TRIALS = ("trial-001", "trial-002", "trial-003")
TEXT = f"""
base: {ROOT}/configs/smoke.yaml
train: {{threads: 1, checkpoint_every: 1 steps}}
sweep: {{strategy: tpe, trials: 3}}
space:
  optim: {{lr: {{low: 0.01, high: 0.3, log: true}}}}
  train: {{batch_size: [8, 16]}}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "sweep.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def sweep(config, tmp_path_factory):
    """The folder of a finished sweep, and what it printed."""
    folder = tmp_path_factory.mktemp("sweeps")
    command = Command(folder, "crossent", "sweep", "-c", config, "--out", folder / "sweep")
    return folder / "sweep", command.end(status=0)[0]


def values(folder):
    trials = Trials.open(folder, load_sweep(str(folder / "sweep.yaml")))
    return [(trial.params, trial.value, trial.intermediate_values) for trial in trials.all]


def test_a_line_a_trial_and_the_best_at_the_end(sweep):
    folder, out = sweep
    Es = {name: end_of(folder / name)["best_E"] for name in TRIALS}
    for name, E in Es.items():
        assert any(line.startswith(name) and f"{E:.4f}" in line for line in out.splitlines())
    best = min(Es, key=Es.get)
    assert "3 of 3 trials: 3 done\n" in out
    assert f"best: {best}, E = {Es[best]:.4f} (" in out and "a little too good" in out
    assert f"python train.py -c {folder / 'best.yaml'} --out runs/sweep-best" in out
    assert "\r" not in out, "no bar off a terminal"
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert [float(row["E"]) for row in rows] == list(Es.values())
    assert "E, nats" in (folder / "sweep.html").read_text()


def end_of(path):
    return RunFolder(path).records()[-1]


def test_the_command_of_the_best_trains_the_best(sweep, tmp_path):
    folder, _ = sweep
    best = min(TRIALS, key=lambda name: end_of(folder / name)["best_E"])
    Command(tmp_path, "-c", folder / "best.yaml", "--out", tmp_path / "again").end(status=0)
    assert first_difference(RunFolder(folder / best), RunFolder(tmp_path / "again")) is None


@dataclass(frozen=True)
class InSecondTrial(Mishap):
    """Befalls the process when the second trial has finished its first epoch."""

    def arm(self, run):
        happen = forked.MISHAPS[self.what]
        second = RunFolder(run / "trial-002")
        drill.die = lambda: happen(run) if len(second.records()) > 1 else None
        drill.arm(self.place, self.step)


def test_killed_and_stopped_and_resumed_it_is_the_same_sweep(sweep, config, tmp_path):
    folder = tmp_path / "sweep"
    words = ("crossent", "sweep", "-c", config, "--out", folder)
    killed = InSecondTrial("killed", "after a step")
    Command(tmp_path, *words, mishap=killed).end(-signal.SIGKILL)
    stopped = InSecondTrial("SIGINT", "after a step")
    out, err = Command(tmp_path, "crossent", "sweep", "--resume", folder, mishap=stopped).end(130)
    assert out.splitlines()[-1] == (
        f"SIGINT: all is saved; go on with: python -m crossent sweep --resume {folder}"
    )
    assert err == "" and not (folder / "sweep.html").exists()
    Command(tmp_path, "crossent", "sweep", "--resume", folder).end(status=0)
    assert values(folder) == values(sweep[0])
    for name in TRIALS:
        assert first_difference(RunFolder(sweep[0] / name), RunFolder(folder / name)) is None
    assert (folder / "trials.csv").read_bytes() == (sweep[0] / "trials.csv").read_bytes()


def test_several_processes_share_a_sweep(config, tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "sweep.yaml").write_text(load_sweep(str(config), ["sweep.trials=4"]).to_yaml())
    both = [
        Command(tmp_path / name, "crossent", "sweep", "--resume", folder) for name in ("a", "b")
    ]
    outs = [command.end(status=0)[0] for command in both]
    begun = [line.split()[0] for out in outs for line in table_of(out)]
    assert sorted(begun) == [f"trial-{number:03}" for number in range(1, 5)]
    assert len(values(folder)) == 4
    for number in range(1, 5):
        assert end_of(folder / f"trial-{number:03}")["kind"] == "end"
    assert any("4 of 4 trials: 4 done" in out for out in outs)


def table_of(out):
    """The lines that came while it ran."""
    return [line for line in out.partition("\n\n")[0].splitlines() if line.startswith("trial-")]


def test_folds_are_judged_together(tmp_path):
    root = draw_folder(tmp_path / "pictures", num=24)
    config = tmp_path / "sweep.yaml"
    config.write_text(TEXT + f"data: {{source: folder, root: {root}, folds: 2}}\n")
    folder = tmp_path / "sweep"
    words = ("crossent", "sweep", "-c", config, "sweep.trials=2", "--out", folder)
    out, _ = Command(tmp_path, *words).end(status=0)
    assert "data.folds=null" in out and "2 of 2 trials: 2 done" in out
    first, _ = values(folder)
    assert list(first[2]) == [1, 2], "a value after each fold"
    Command(tmp_path, "--resume", folder / "trial-001").end(status=0)
    summary = json.loads((folder / "trial-001" / "summary.json").read_text())
    assert first[1] == first[2][2] == pytest.approx(summary["E"]["value"], rel=1e-5)
    assert summary["num_images"] == 27


def test_more_trials_can_be_asked_for(config, tmp_path):
    (tmp_path / "sweep.yaml").write_text(load_sweep(str(config)).to_yaml())
    words = argparse.Namespace(resume=tmp_path, out=None, overrides=["sweep.trials=4"])
    assert resume(words)[1].num_trials == 4
    assert load_sweep(str(tmp_path / "sweep.yaml")).num_trials == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optim.lr=0.2"], r"only sweep.trials may differ: optim.lr: 0.1 -> 0.2"),
        (["train.epochs=9"], r"only sweep.trials may differ: train.epochs: 2 -> 9"),
        (["sweep.strategy=random"], "only sweep.trials may differ"),
        (["--out", "elsewhere"], "leave out --out"),
    ],
    ids=lambda value: value[0],
)
def test_other_settings_are_refused(sweep, words, message):
    with pytest.raises(UserError, match=message):
        main(["sweep", "--resume", str(sweep[0]), *words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-c", "missing.yaml"], "missing.yaml does not exist"),
        (["--resume", "configs"], "configs holds no sweep"),
        (["-c", "configs/smoke.yaml"], "configs/smoke.yaml:1: a sweep needs a section space"),
        (["-c", "configs/sweeps/photos.yaml", "data.root=missing"], "missing"),
        (["-c", "configs/sweeps/photos.yaml", "data.root=a", "train.patience=3"], "patience"),
    ],
    ids=lambda value: " ".join(value[1:])[:40],
)
def test_a_mistake_is_one_sentence(words, message, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=message) as caught:
        main(["sweep", *words])
    assert "\n" not in str(caught.value)


def test_pictures_that_are_gone_cost_no_trial(tmp_path):
    root = draw_folder(tmp_path / "pictures", num=12)
    (tmp_path / "own.yaml").write_text(TEXT + f"data: {{source: folder, root: {root}}}\n")
    text = load_sweep(str(tmp_path / "own.yaml")).to_yaml()
    (tmp_path / "sweep.yaml").write_text(text)
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="pictures"):
        main(["sweep", "--resume", str(tmp_path)])
    assert not (tmp_path / "journal.jsonl").exists()


def test_a_sweep_without_a_trial_done_does_not_end_well(tmp_path):
    text = f"base: {ROOT}/configs/smoke.yaml\nsweep: {{trials: 1}}\n"
    text += "space: {model: {name: [torchvision/alexnet]}}\n"  # too deep for pictures so small
    (tmp_path / "own.yaml").write_text(text)
    out = tmp_path / "sweep"
    words = ("crossent", "sweep", "-c", tmp_path / "own.yaml", "--out", out)
    said, err = Command(tmp_path, *words).end(status=2)
    assert "1 of 1 trials: 1 failed" in said
    assert "no trial of" in err and err.count("\n") == 1
    assert "cannot take pictures of data.image_size" in (out / "trials.csv").read_text()


def test_torchrun_is_refused(monkeypatch):
    monkeypatch.setitem(os.environ, "TORCHELASTIC_RUN_ID", "1")
    with pytest.raises(UserError, match="leave out torchrun"):
        main(["sweep", "-c", "configs/sweeps/smoke.yaml"])
