"""Sweeps: what is tried, how a trial ends, what a kill leaves, and the command as a whole.

Most trials here are trained by a function that only writes what E is supposed to have been.
"""

import csv
import json
import math
import os
import signal
from pathlib import Path

import pytest
import sqlalchemy
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution

from crossent.__main__ import main
from crossent.config import Settings, load_settings, to_yaml
from crossent.errors import EXIT_DONE, EXIT_NOT_FINITE, UserError
from crossent.experiments import sweep as sweep_module
from crossent.experiments.space import Sweep, SweepSettings
from crossent.experiments.sweep import (
    MAX_RETRIES,
    ended,
    in_words,
    open_study,
    report_trials,
    train_trials,
)
from crossent.pretrained import PretrainedWeights
from crossent.train_run import Caller, Outcome, train_run
from crossent.training.run_folder import RunFolder
from crossent.verify_resume import first_difference
from tests.experiments.parts import InSecond, draw_folder
from tests.forked import ROOT, Command

EPOCHS = 3
MIXUP = CategoricalDistribution([0.0, 1.0])
SPACE = {"optim.lr": FloatDistribution(0.001, 1.0, log=True), "train.mixup": MIXUP}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)
    hurry = lambda connection, record: connection.execute("PRAGMA synchronous=OFF")  # noqa: E731
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", hurry)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", hurry)


def make_sweep(space=SPACE, keep="best", **plan):
    settings = Settings(train={"epochs": EPOCHS, "keep": keep})
    return Sweep(settings, SweepSettings(**{"strategy": "random", "trials": 2, **plan}), space)


def pretend(E_of, epochs=range(1, EPOCHS + 1)):
    """A training whose E on validation is E_of(settings, epoch)."""

    def train_one(loaded, path, is_old, caller):
        folder = RunFolder(path)
        if not is_old:
            folder.create(to_yaml(loaded.settings))
        for epoch in epochs:
            E = E_of(loaded.settings, epoch)
            record = {"kind": "epoch", "epoch": epoch, "val": {"E": E, "accuracy": 0.5}}
            folder.append(record)
            caller.watch(record)
        return Outcome(EXIT_DONE)

    return train_one


def away_from_a_tenth(settings, epoch):
    return 0.2 + abs(math.log10(settings.optim.lr) + 1) / epoch


GOOD = pretend(away_from_a_tenth)


def in_trial(happen):
    """A good training, but for what happens in the trials of these names."""
    return lambda loaded, path, *rest: happen.get(path.name, GOOD)(loaded, path, *rest)


def run(path, sweep, train_one=GOOD):
    """The study after the sweep has begun or gone on."""
    path.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_module, "train_run", train_one)
        study = open_study(path, sweep)
        train_trials(study, path, sweep, Caller("go on", silent=True))
    return study


def params(study):
    return [trial.params for trial in ended(study)]


def states(study):
    return [trial.state.name for trial in ended(study)]


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def killed(loaded, path, is_old, caller):
    raise Killed


def refused(loaded, path, is_old, caller):
    raise UserError("data.image_size is 64; vit takes 224 only")


def out_of_memory(loaded, path, is_old, caller):
    """As torch on a CPU: a plain RuntimeError."""
    torch.empty(1 << 60)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_trial_has_its_settings_in_its_folder_and_E_of_the_epoch_that_is_kept(tmp_path, keep):
    rising = pretend(lambda settings, epoch: settings.optim.lr * epoch)
    study = run(tmp_path, make_sweep(keep=keep), rising)
    for number, trial in enumerate(ended(study), start=1):
        found = load_settings(tmp_path / f"trial-{number:03}" / "config.yaml").settings
        assert found.optim.lr == trial.params["optim.lr"] and 0.001 <= found.optim.lr <= 1
        assert found.train.mixup == trial.params["train.mixup"]
        assert trial.value == found.optim.lr * (1 if keep == "best" else EPOCHS)


def test_the_seed_decides_what_is_tried_and_going_on_repeats_nothing(tmp_path):
    first, again = (run(tmp_path / name, make_sweep()) for name in ("a", "b"))
    assert params(first) == params(again)
    assert params(run(tmp_path / "c", make_sweep(seed=1))) != params(first)
    more = params(run(tmp_path / "a", make_sweep(trials=4, strategy="tpe")))
    assert more[:2] == params(again) and len({trial["optim.lr"] for trial in more}) == 4


def test_a_grid_is_gone_through_once_also_with_kills(tmp_path):
    values = {"optim.lr": (0.1, 0.2), "train.ema": (None, 0.5)}
    space = {name: CategoricalDistribution(choices) for name, choices in values.items()}
    sweep = make_sweep(space, strategy="grid", trials=None)
    with pytest.raises(Killed):
        run(tmp_path, sweep, in_trial({"trial-002": killed}))
    points = [tuple(trial.values()) for trial in params(run(tmp_path, sweep))]
    expected = [(lr, ema) for lr in (0.1, 0.2) for ema in (None, 0.5)]
    assert len(points) == len(expected) and set(points) == set(expected)


def test_a_killed_trial_is_tried_once_more_in_its_folder(tmp_path):
    def killed_later(*arguments):
        pretend(away_from_a_tenth, epochs=[1])(*arguments)
        raise Killed

    with pytest.raises(Killed):
        run(tmp_path, make_sweep(), in_trial({"trial-002": killed_later}))
    goes_on = pretend(away_from_a_tenth, epochs=range(2, EPOCHS + 1))
    study = run(tmp_path, make_sweep(), in_trial({"trial-002": goes_on}))
    assert states(study) == ["COMPLETE"] * 2
    left, again = study.trials[1], ended(study)[1]
    assert (left.state.name, left.params) == ("FAIL", again.params)
    assert list(again.intermediate_values) == [2, 3], "it went on"
    assert len(list(tmp_path.glob("trial-*"))) == 2


def test_a_trial_that_kills_its_process_again_and_again_is_given_up(tmp_path):
    for _ in range(1 + MAX_RETRIES):
        with pytest.raises(Killed):
            run(tmp_path, make_sweep(), in_trial({"trial-001": killed}))
    study = run(tmp_path, make_sweep())
    assert states(study) == ["FAIL", "COMPLETE"]
    assert "its process was killed" in in_words(ended(study)[0])


def test_a_hopeless_trial_is_stopped(tmp_path):
    """Five that are about as good as each other, and one that is far worse."""
    Es = dict(zip((f"trial-{n:03}" for n in range(1, 7)), [1, 1.1, 1.2, 1.3, 1.15, 5], strict=True))

    def train_one(loaded, path, *rest):
        return pretend(lambda settings, epoch: Es[path.name] / epoch)(loaded, path, *rest)

    study = run(tmp_path, make_sweep(trials=6), train_one)
    assert states(study) == [*["COMPLETE"] * 5, "PRUNED"]
    assert (ended(study)[5].value, ended(study)[5].last_step) == (5.0, 1)


def test_a_trial_that_fails_for_whatever_reason_does_not_end_the_sweep(tmp_path):
    faults = {
        "data.image_size is 64; vit takes 224 only": refused,
        "RuntimeError: [enforce fail at alloc_cpu.cpp": out_of_memory,
        "ZeroDivisionError: division by zero": lambda *arguments: 1 / 0,
        "a number was not finite": lambda *arguments: Outcome(EXIT_NOT_FINITE),
    }
    happen = {f"trial-{n:03}": fault for n, fault in enumerate(faults.values(), start=2)}
    study = run(tmp_path, make_sweep(trials=6), in_trial(happen))
    assert states(study) == ["COMPLETE", *["FAIL"] * 4, "COMPLETE"]
    for trial, reason in zip(ended(study)[1:5], faults, strict=True):
        assert f"reason={reason}" in in_words(trial)


def test_a_trial_sees_pictures_as_its_own_weights_do(tmp_path, monkeypatch):
    """As they were prepared where the weights come from; those that are not there end the trial."""
    prepared = {
        "a": {"data.image_size": 40, "data.std": (0.1, 0.1, 0.1)},
        "b": {"data.image_size": 48},
    }

    def read(weights, model_name):
        if weights not in prepared:
            raise UserError(f"model.weights: {weights} does not exist")
        return PretrainedWeights(tmp_path, {}, prepared[weights])

    monkeypatch.setattr("crossent.pretrained.read_pretrained", read)
    seen = {}

    def E_of(settings, epoch):
        seen[settings.model.weights] = (settings.data.image_size, settings.data.std)
        return 1.0

    settings = Settings(train={"epochs": EPOCHS}, data={"image_size": None})
    space = {"model.weights": CategoricalDistribution([None, "a", "b", "c"])}
    study = run(tmp_path, Sweep(settings, SweepSettings(strategy="grid"), space), pretend(E_of))
    default = (0.25, 0.25, 0.25)
    assert seen == {None: (64, default), "a": (40, (0.1, 0.1, 0.1)), "b": (48, default)}
    failed = [t.params["model.weights"] for t in ended(study) if t.state.name == "FAIL"]
    assert failed == ["c"]


def test_table_files_and_plots(tmp_path, monkeypatch):
    """There are no models to measure here; the test of the command has some."""
    monkeypatch.setattr(
        "crossent.experiments.compare.compare_runs", lambda paths, *rest: (paths[0].name, {})
    )
    sweep = make_sweep({**SPACE, "data.flip": MIXUP}, trials=9, prune=False)
    study = run(tmp_path, sweep, in_trial({"trial-003": refused}))
    text = report_trials(study, tmp_path, sweep)
    rows = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    assert {row["trial"] for row in rows} == {f"trial-{n:03}" for n in range(1, 10)}
    assert (rows[8]["state"], rows[8]["E"]) == ("failed", "") and "vit" in rows[8]["reason"]
    Es = [float(row["E"]) for row in rows[:8]]
    assert text.startswith("9 trials: 8 done, 1 failed") and Es == sorted(Es)
    first = text.splitlines()[3].split()
    assert first[:3] == [rows[0]["trial"], "done", f"{Es[0]:.4g}"]
    assert f"best: {rows[0]['trial']}." in text
    assert load_settings(tmp_path / "best.yaml").settings.optim.lr == float(rows[0]["optim.lr"])
    for name in ("history.png", "parallel-coordinates.png", "importances.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG" and name in text
    assert f"optuna-dashboard sqlite:///{tmp_path}/study.db" in text


TRIALS = ("trial-001", "trial-002", "trial-003")
TEXT = f"""
base: {ROOT}/tests/tiny.yaml
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
def finished(config, tmp_path_factory):
    """The folder of a finished sweep, and what it printed."""
    folder = tmp_path_factory.mktemp("sweeps")
    command = Command(folder, "crossent", "sweep", "-c", config, "--out", folder / "sweep")
    return folder / "sweep", command.end(status=0)[0]


def test_a_line_per_trial_and_the_best_at_the_end(finished, tmp_path):
    folder, out = finished
    Es = {name: RunFolder(folder / name).records()[-1]["best_E"] for name in TRIALS}
    for name, E in Es.items():
        assert f"trial={name}  state=done  E={E:.4g}  " in out
    best, *others = sorted(Es, key=Es.get)
    assert "3 trials: 3 done\n" in out
    assert f"best: {best}." in out and "a little too good" in out
    assert all(f"{other} minus {best}" in out for other in others)
    assert f"python train.py -c {folder / 'best.yaml'} --out runs/sweep-best" in out
    Command(tmp_path, "-c", folder / "best.yaml", "--out", tmp_path / "again").end(status=0)
    assert first_difference(RunFolder(folder / best), RunFolder(tmp_path / "again")) is None


def test_killed_and_stopped_and_resumed_it_has_all_its_trials(finished, config, tmp_path):
    folder = tmp_path / "sweep"
    words = ("crossent", "sweep", "-c", config, "--out", folder)
    Command(tmp_path, *words, mishap=InSecond("killed", "trial-002")).end(-signal.SIGKILL)
    stopped = InSecond("SIGINT", "trial-002")
    out, err = Command(tmp_path, "crossent", "sweep", "--resume", folder, mishap=stopped).end(130)
    assert out.splitlines()[-1] == (
        f"SIGINT: all is saved; go on with: python -m crossent sweep --resume {folder}"
    )
    assert err == "" and not (folder / "trials.csv").exists()
    out, _ = Command(tmp_path, "crossent", "sweep", "--resume", folder).end(status=0)
    assert "3 trials: 3 done" in out
    for name in TRIALS[:2]:  # the second went on from its checkpoint, twice
        assert first_difference(RunFolder(finished[0] / name), RunFolder(folder / name)) is None
    assert {path.name for path in folder.glob("trial-*")} == set(TRIALS)
    out, _ = Command(tmp_path, "crossent", "sweep", "sweep.trials=4", "--resume", folder).end(0)
    assert "4 trials: 4 done" in out


def sweep_here(config, folder):
    """Run the command in this process; its handlers of signals are taken back."""
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        return main(["sweep", "-c", str(config), "--out", str(folder)])
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)


def test_with_a_trial_out_of_memory_it_ends_with_a_table(config, tmp_path, monkeypatch, capsys):
    def train_one(loaded, path, is_old, caller):
        train = out_of_memory if path.name == "trial-002" else train_run
        return train(loaded, path, is_old, caller)

    monkeypatch.setattr(sweep_module, "train_run", train_one)
    assert sweep_here(config, tmp_path / "sweep") == EXIT_DONE
    out = capsys.readouterr().out
    assert "trial=trial-002  state=failed" in out and "can't allocate memory" in out
    assert "3 trials: 2 done, 1 failed" in out and "best: trial-00" in out


def test_a_sweep_without_a_trial_done_does_not_end_well(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweep_module, "train_run", refused)
    with pytest.raises(UserError, match="no trial of"):
        sweep_here(config, tmp_path / "sweep")
    assert "3 trials: 3 failed" in capsys.readouterr().out
    assert "vit" in (tmp_path / "sweep" / "trials.csv").read_text()


def test_folds_are_judged_together(tmp_path):
    root = draw_folder(tmp_path / "pictures", num=24)
    config, folder = tmp_path / "sweep.yaml", tmp_path / "sweep"
    config.write_text(TEXT + f"data: {{source: folder, root: {root}, folds: 2}}\n")
    words = ("crossent", "sweep", "-c", config, "sweep.trials=2", "--out", folder)
    out, _ = Command(tmp_path, *words).end(status=0)
    assert "2 trials: 2 done" in out and "27 pictures, the same for all" in out
    best = next(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    summary = json.loads((folder / best["trial"] / "summary.json").read_text())
    assert float(best["E"]) == summary["E"]["value"] and summary["num_images"] == 27


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-c", "missing.yaml"], "missing.yaml: No such file"),
        (["--resume", "configs"], "configs holds no sweep"),
        (["-c", "tests/tiny.yaml"], "tests/tiny.yaml:1: a sweep needs a section space"),
        (["--resume", "SWEEP", "optim.lr=0.2"], "only sweep.trials may differ: .*optim.lr=0.2"),
        (["--resume", "SWEEP", "--out", "elsewhere"], "leave out --out"),
        (["-c", "SWEEP/best.yaml", "--out", "SWEEP"], "is used already"),
        (["-c", "configs/sweeps/photos.yaml", "data.root=gone", "--out", "SWEEP/new"], "gone"),
    ],
    ids=lambda value: " ".join(value[1:])[:40],
)
def test_a_mistake_is_one_sentence(words, message, monkeypatch, finished):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=message) as caught:
        main(["sweep", *(word.replace("SWEEP", str(finished[0])) for word in words)])
    assert "\n" not in str(caught.value)
    assert not Path(finished[0], "new", "study.db").exists(), "no trial was begun"


def test_one_process_works_on_a_sweep(finished):
    with RunFolder(finished[0]).in_use(), pytest.raises(UserError, match="in use by another"):
        main(["sweep", "--resume", str(finished[0])])
