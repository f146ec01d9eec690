"""The trials of a sweep: what is tried, how a trial ends, what a kill leaves, the results.

A function that only writes a prescribed E per epoch replaces the training here.
"""

import csv
import math

import pytest
import torch

from crossent.config import load_settings, to_yaml, with_values
from crossent.errors import EXIT_DONE, EXIT_NOT_FINITE, UserError
from crossent.experiments import sweep as sweep_module
from crossent.experiments.space import Sweep
from crossent.experiments.sweep import (
    MAX_RETRIES,
    ended,
    open_study,
    report_trials,
    row_of,
    train_trials,
)
from crossent.pretrained import follow_weights
from crossent.train_run import Caller
from crossent.training.run_folder import RunFolder

EPOCHS = 3
SPACE = {"optim.lr": {"low": 0.001, "high": 1.0, "log": True}, "train.mixup": [0.0, 1.0]}


def make_sweep(space=SPACE, data=None, **plan):
    plan = {"strategy": "random", "trials": 2, **plan}
    return Sweep(train={"epochs": EPOCHS}, data=data or {}, sweep=plan, space=space)


def pretend(E_of):
    """Return a training whose E on validation is E_of(settings, epoch)."""

    def train_one(settings, path, is_resumed, caller):
        folder = RunFolder(path)
        if not is_resumed:
            folder.create(to_yaml(settings))
        for epoch in range(1, EPOCHS + 1):
            E = E_of(settings, epoch)
            record = {"kind": "epoch", "epoch": epoch, "val": {"E": E, "accuracy": 0.5}}
            folder.append(record)
            caller.watch(record)
        return EXIT_DONE, None, None

    return train_one


GOOD = pretend(lambda settings, epoch: 0.2 + abs(math.log10(settings.optim.lr) + 1) / epoch)


def in_trial(happen):
    """Return `GOOD`, replaced by another training in the trials whose numbers `happen` has."""
    return lambda run, path, *rest: happen.get(int(path.name[-3:]), GOOD)(run, path, *rest)


def run(path, sweep, train_one=GOOD):
    """Start or resume a sweep; return its study."""
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
    """An exception that the program does not catch, in place of SIGKILL."""


def killed(*_):
    raise Killed


def refused(*_):
    raise UserError("data.image_size is 64; vit takes 224 only")


def test_a_trial_has_its_settings_in_its_folder_and_E_of_the_epoch_that_is_kept(tmp_path):
    rising = pretend(lambda settings, epoch: settings.optim.lr * epoch)
    study = run(tmp_path, make_sweep(), rising)
    for number, trial in enumerate(ended(study), start=1):
        found = load_settings(tmp_path / f"trial-{number:03}" / "config.yaml").settings
        assert found.optim.lr == trial.params["optim.lr"] and 0.001 <= found.optim.lr <= 1
        assert found.train.mixup == trial.params["train.mixup"]
        assert trial.value == found.optim.lr  # of its first epoch


def test_the_seed_decides_what_is_tried_and_a_resume_repeats_nothing(tmp_path):
    first, again = (run(tmp_path / name, make_sweep()) for name in ("a", "b"))
    assert params(first) == params(again)
    assert params(run(tmp_path / "c", make_sweep(seed=1, trials=1))) != params(first)[:1]
    more = params(run(tmp_path / "a", make_sweep(trials=4, strategy="tpe")))
    assert more[:2] == params(again) and len({trial["optim.lr"] for trial in more}) == 4


def test_a_grid_is_tried_once_even_after_kills(tmp_path):
    space = {"optim.lr": [0.1, 0.2], "train.ema": [None, 0.5]}
    sweep = make_sweep(space, strategy="grid", trials=None)
    with pytest.raises(Killed):
        run(tmp_path, sweep, in_trial({2: killed}))
    points = [tuple(trial.values()) for trial in params(run(tmp_path, sweep))]
    expected = [(lr, ema) for lr in (0.1, 0.2) for ema in (None, 0.5)]
    assert len(points) == len(expected) and set(points) == set(expected)


def test_a_trial_that_kills_its_process_again_and_again_is_given_up(tmp_path):
    for _ in range(1 + MAX_RETRIES):
        with pytest.raises(Killed):
            run(tmp_path, make_sweep(), in_trial({1: killed}))
    study = run(tmp_path, make_sweep())
    assert states(study) == ["FAIL", "COMPLETE"]
    assert "its process was killed" in row_of(ended(study)[0])["reason"]


def test_a_hopeless_trial_is_stopped(tmp_path):
    """Five trials are about equal, and one is far worse."""
    happen = {
        number: pretend(lambda _, epoch, E=E: E / epoch)
        for number, E in enumerate([1, 1.1, 1.2, 1.3, 1.15, 5], start=1)
    }
    study = run(tmp_path, make_sweep(trials=6), in_trial(happen))
    assert states(study) == [*["COMPLETE"] * 5, "PRUNED"]
    assert (ended(study)[5].value, ended(study)[5].last_step) == (5.0, 1)


def test_a_trial_that_fails_for_any_reason_does_not_end_the_sweep(tmp_path, capsys):
    faults = {
        "data.image_size is 64; vit takes 224 only": refused,
        # out of memory, as torch says it on a CPU
        "RuntimeError: [enforce fail at alloc_cpu.cpp": lambda *_: torch.empty(1 << 60),
        "ZeroDivisionError: division by zero": lambda *_: 1 / 0,
        "a number was not finite": lambda *_: (EXIT_NOT_FINITE, None, None),
    }
    study = run(tmp_path, make_sweep(trials=6), in_trial(dict(enumerate(faults.values(), start=2))))
    assert states(study) == ["COMPLETE", *["FAIL"] * 4, "COMPLETE"]
    lines = capsys.readouterr().out.splitlines()
    for trial, reason, line in zip(ended(study)[1:5], faults, lines[1:5], strict=True):
        assert row_of(trial)["reason"].startswith(reason) and f"reason={reason}" in line


def test_each_trial_uses_the_preprocessing_of_its_weights(tmp_path, monkeypatch):
    def follow(settings):
        return with_values(settings, {"data.image_size": sizes[settings.model.weights]})

    sizes, seen = {None: 64, "a": 40, "b": 48}, {}
    monkeypatch.setattr(sweep_module, "follow_weights", follow)

    def E_of(settings, epoch):
        seen[settings.model.weights] = settings.data.image_size
        return 1.0

    sweep = make_sweep({"model.weights": [None, "a", "b"]}, strategy="grid", trials=None)
    run(tmp_path, sweep, pretend(E_of))
    assert seen == sizes


def test_table_files_and_plots(tmp_path):
    sweep = make_sweep({**SPACE, "data.flip": [0.0, 1.0]}, trials=9, prune=False)
    study = run(tmp_path, sweep, in_trial({3: refused}))
    text = report_trials(study, tmp_path, sweep)
    rows = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    names = [row["trial"] for row in rows]
    assert sorted(names) == [f"trial-{n:03}" for n in range(1, 10)]
    assert (rows[8]["state"], rows[8]["E"]) == ("failed", "") and "vit" in rows[8]["reason"]
    Es = [float(row["E"]) for row in rows[:8]]
    assert text.startswith("9 trials: 8 done, 1 failed") and Es == sorted(Es)
    assert text.splitlines()[3].split()[:3] == [names[0], "done", f"{Es[0]:.4g}"]
    assert f"best: {names[0]}." in text and "too good" in text
    compared = " ".join(f"{tmp_path / name}" for name in names[:5])
    assert f"python -m crossent compare {compared}\n" in text
    best = follow_weights(load_settings(tmp_path / "best.yaml").settings)
    assert best == load_settings(tmp_path / names[0] / "config.yaml").settings
    for name in ("history.png", "parallel-coordinates.png", "importances.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG" and name in text
    assert f"optuna-dashboard sqlite:///{tmp_path}/study.db" in text
