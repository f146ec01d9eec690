"""Sweeps: what is tried, how a trial ends, what a kill leaves, and the command as a whole.

Most trials here are trained by a function that only writes what E is supposed to have been.
"""

import csv
import json
import math
import os
import signal
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from optuna.trial import FixedTrial, TrialState

from crossent.__main__ import main
from crossent.config import Settings, load_settings, to_yaml
from crossent.errors import EXIT_DONE, EXIT_NOT_FINITE, UserError
from crossent.experiments import sweep as sweep_module
from crossent.experiments import trials as trials_module
from crossent.experiments.space import Choices, Range, Sweep, SweepSettings, load_sweep
from crossent.experiments.sweep import (
    MAX_ATTEMPTS,
    begin_sweep,
    open_study,
    resume_sweep,
    suggest,
    train_trials,
)
from crossent.experiments.trials import attempts, ended, report_trials
from crossent.pretrained import PretrainedWeights
from crossent.train_run import Caller, Outcome, train_run
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted
from crossent.verify_resume import first_difference
from data.preprocess import Preprocessing
from tests import drill, forked
from tests.experiments.parts import draw_folder
from tests.forked import ROOT, Command, Mishap
from tests.training.parts import CPU

EPOCHS = 6
SPACE = {"optim.lr": Range(low=0.001, high=1.0, log=True), "train.mixup": Choices((0.0, 1.0))}


def make_sweep(space=SPACE, **plan):
    settings = Settings(train={"epochs": EPOCHS})
    return Sweep(settings, SweepSettings(**{"strategy": "random", "trials": 4, **plan}), space)


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


def run(path, sweep, train_one):
    """The trials by folder, each with its attempts, after the sweep has begun or gone on."""
    path.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_module, "train_run", train_one)
        study = open_study(path, sweep)
        train_trials(study, path, sweep, Caller("go on", silent=True))
    return study


def params(study):
    return [trial.params for trial in ended(study)]


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def killed_in(name, good):
    """A training whose process is killed in the trial of that name, before its end."""

    def train_one(loaded, path, is_old, caller):
        if path.name == name:
            raise Killed
        return good(loaded, path, is_old, caller)

    return train_one


@pytest.mark.parametrize(("keep", "value"), [("best", 0.1), ("last", 0.6)])
def test_the_value_is_E_of_the_epoch_that_is_kept(tmp_path, keep, value):
    settings = Settings(train={"epochs": EPOCHS, "keep": keep})
    sweep = Sweep(settings, make_sweep().plan, SPACE)
    study = run(tmp_path / "sweep", sweep, pretend(lambda settings, epoch: epoch / 10))
    assert [trial.value for trial in ended(study)] == [value] * 4


def test_each_trial_has_its_settings_in_its_folder(tmp_path):
    study = run(tmp_path, make_sweep(), pretend(away_from_a_tenth))
    for number, trial in enumerate(ended(study), start=1):
        found = load_settings(tmp_path / f"trial-{number:03}" / "config.yaml").settings
        assert found.optim.lr == trial.params["optim.lr"]
        assert found.train.mixup == trial.params["train.mixup"]
        assert trial.value == pytest.approx(away_from_a_tenth(found, EPOCHS))
        assert 0.001 <= found.optim.lr <= 1


@pytest.mark.parametrize("strategy", ["random", "tpe"])
def test_the_seed_decides_what_is_tried_and_going_on_repeats_nothing(tmp_path, strategy):
    plan = {"strategy": strategy, "trials": 4, "prune": False}
    good = pretend(away_from_a_tenth)
    first, again = (run(tmp_path / name, make_sweep(**plan), good) for name in ("a", "b"))
    assert params(first) == params(again)
    assert params(run(tmp_path / "c", make_sweep(seed=1, **plan), good)) != params(first)
    more = run(tmp_path / "a", make_sweep(**plan | {"trials": 7}), good)
    assert params(more)[:4] == params(again)
    assert len({trial["optim.lr"] for trial in params(more)}) == 7


@pytest.mark.parametrize("name", ["trial-002", "trial-005", "trial-006"])
def test_a_grid_is_gone_through_once_also_with_a_kill(tmp_path, name):
    space = {"optim.lr": Choices((0.1, 0.2, 0.3)), "train.mixup": Range(low=0, high=0.5, step=0.5)}
    sweep, good = make_sweep(space, strategy="grid", trials=None), pretend(away_from_a_tenth)
    with pytest.raises(Killed):
        run(tmp_path / "sweep", sweep, killed_in(name, good))
    points = [tuple(trial.values()) for trial in params(run(tmp_path / "sweep", sweep, good))]
    assert sorted(points) == [(lr, mixup) for lr in (0.1, 0.2, 0.3) for mixup in (0.0, 0.5)]


@pytest.mark.parametrize(
    ("name", "axis", "expected"),
    [
        ("train.batch_size", Range(low=8, high=30, step=8), {8, 16, 24}),
        ("train.epochs", Range(low=3, high=5), {3, 4, 5}),
        ("data.crop", Range(low=0.2, high=0.9, step=0.3), {0.2, 0.5, 0.8}),
        ("train.ema", Choices((None, 5.0)), {None, 5.0}),
    ],
)
def test_the_values_that_optuna_may_choose(name, axis, expected):
    for value in expected:
        trial = FixedTrial({name: value})
        suggest(trial, name, axis, is_grid=False)
        found: Any = trial.distributions[name]
        assert found._contains(found.to_internal_repr(value))
    if isinstance(axis, Range):
        assert found.high == pytest.approx(max(expected))


def test_a_killed_trial_is_tried_once_more_in_its_folder(tmp_path):
    good = pretend(away_from_a_tenth)

    def killed(loaded, path, is_old, caller):
        if path.name == "trial-002":
            pretend(away_from_a_tenth, epochs=[1])(loaded, path, is_old, caller)
            RunFolder(path).append({"kind": "epoch", "epoch": 2, "val": {"E": 3.0, "accuracy": 0}})
            raise Killed  # before the last line is reported
        return good(loaded, path, is_old, caller)

    with pytest.raises(Killed):
        run(tmp_path, make_sweep(), killed)

    def resumed(loaded, path, is_old, caller):
        assert is_old is (path.name == "trial-002")
        epochs = range(3 if is_old else 1, EPOCHS + 1)
        return pretend(away_from_a_tenth, epochs)(loaded, path, is_old, caller)

    study = run(tmp_path, make_sweep(), resumed)
    assert [trial.state for trial in ended(study)] == [TrialState.COMPLETE] * 4
    left, again = attempts(study)["trial-002"]
    assert (left.state, left.params) == (TrialState.FAIL, again.params)
    assert list(again.intermediate_values) == [1, 2, 3, 4, 5, 6]
    assert again.intermediate_values[2] == 3.0
    assert sorted(path.name for path in tmp_path.glob("trial-*")) == [
        f"trial-{number:03}" for number in (1, 2, 3, 4)
    ]


def test_a_trial_that_kills_its_process_again_and_again_is_given_up(tmp_path):
    killing = killed_in("trial-001", pretend(away_from_a_tenth))
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Killed):
            run(tmp_path, make_sweep(), killing)
    study = run(tmp_path, make_sweep(), killing)
    assert [trial.state.name for trial in ended(study)] == ["FAIL", *["COMPLETE"] * 3]
    assert "its process was killed" in trials_module.in_words(ended(study)[0])


def test_a_trial_that_was_stopped_often_is_not_given_up(tmp_path):
    def stopped(loaded, path, is_old, caller):
        return Outcome(128 + signal.SIGINT)

    for _ in range(MAX_ATTEMPTS + 1):
        with pytest.raises(Interrupted):
            run(tmp_path, make_sweep(), stopped)
    study = run(tmp_path, make_sweep(), pretend(away_from_a_tenth))
    assert [trial.state for trial in ended(study)] == [TrialState.COMPLETE] * 4


@pytest.mark.parametrize("prune", [True, False])
def test_a_hopeless_trial_is_stopped(tmp_path, prune):
    """The fifth of those that were as good as the others, and one that was far worse."""
    Es = iter([1.0, 1.1, 1.2, 1.3, 1.15, 5.0])

    def E_of(settings, epoch, current={}):  # noqa: B006 - one E for all epochs of a trial
        if settings.optim.lr not in current:
            current[settings.optim.lr] = next(Es)
        return current[settings.optim.lr] / epoch

    found = ended(run(tmp_path / "sweep", make_sweep(trials=6, prune=prune), pretend(E_of)))
    last = TrialState.PRUNED if prune else TrialState.COMPLETE
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * 5 + [last]
    assert (found[5].value, found[5].last_step) == ((2.5, 2) if prune else (5 / 6, 6))


def out_of_memory():
    """Raise what torch does on a CPU: a plain RuntimeError."""
    torch.empty(1 << 60)


def refused():
    raise UserError("data.image_size is 64; vit takes 224 only")


def broken():
    raise KeyError("a mistake of ours")


@pytest.mark.parametrize(
    ("happen", "reason"),
    [
        (refused, "data.image_size is 64; vit takes 224 only"),
        (out_of_memory, "out of memory: "),
        (broken, "KeyError: 'a mistake of ours'"),
        (lambda: Outcome(EXIT_NOT_FINITE), "a number was not finite"),
    ],
)
def test_a_trial_that_fails_for_whatever_reason_does_not_end_the_sweep(tmp_path, happen, reason):
    good = pretend(away_from_a_tenth)

    def train_one(loaded, path, is_old, caller):
        return happen() if path.name == "trial-002" else good(loaded, path, is_old, caller)

    found = ended(run(tmp_path, make_sweep(), train_one))
    assert [trial.state.name for trial in found] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert found[1].user_attrs["reason"].startswith(reason)
    assert trials_module.in_words(found[1]).startswith(f"failed: {reason}")


def test_a_trial_sees_pictures_as_its_own_weights_do(tmp_path, monkeypatch):
    """As they were prepared where the weights come from; those that are not there end the trial."""
    prepared = {"a": Preprocessing(40, std=(0.1, 0.1, 0.1)), "b": Preprocessing(48)}

    def read(weights, model_name):
        if weights not in prepared:
            raise UserError(f"model.weights: {weights} does not exist")
        return PretrainedWeights(tmp_path, {}, prepared[weights])

    monkeypatch.setattr("crossent.pretrained.read_pretrained", read)
    seen = {}

    def E_of(settings, epoch):
        seen[settings.model.weights] = (settings.data.image_size, settings.data.std)
        return 1.0

    space = {"model.weights": Choices((None, "a", "b", "c"))}
    open_ = Settings(train={"epochs": EPOCHS}, data={"image_size": None})
    study = run(
        tmp_path / "sweep", Sweep(open_, SweepSettings(strategy="grid"), space), pretend(E_of)
    )
    default = (0.25, 0.25, 0.25)
    assert seen == {None: (64, default), "a": (40, (0.1, 0.1, 0.1)), "b": (48, default)}
    states = {trial.params["model.weights"]: trial.state.name for trial in ended(study)}
    assert states == {None: "COMPLETE", "a": "COMPLETE", "b": "COMPLETE", "c": "FAIL"}


@pytest.mark.parametrize("tried", ["weights: [null, a]", "name: [resnet9, small_cnn]"])
def test_what_its_weights_decide_stays_open_until_then(tmp_path, monkeypatch, tried):
    monkeypatch.chdir(tmp_path)
    text = f"data: {{image_size: null}}\nspace: {{model: {{{tried}}}}}\n"
    (tmp_path / "own.yaml").write_text(text)
    _, sweep = begin_sweep(tmp_path / "own.yaml", [], tmp_path / "sweep")
    assert sweep.settings.data.image_size is None
    assert load_sweep(str(tmp_path / "sweep" / "sweep.yaml")).settings.data.image_size is None


def test_table_files_and_plots(tmp_path, monkeypatch):
    """There are no models to measure, so `judge` is left to the test of the command."""
    monkeypatch.setattr(trials_module, "judge", lambda *arguments: "")
    space = {**SPACE, "train.ema": Choices((None, 5.0)), "data.flip": Choices((0.0, 0.5))}
    sweep = make_sweep(space, trials=20)

    def train_one(loaded, path, is_old, caller):
        if path.name == "trial-003":
            refused()
        return pretend(away_from_a_tenth)(loaded, path, is_old, caller)

    study = run(tmp_path, sweep, train_one)
    text = report_trials(study, tmp_path, sweep, CPU)
    rows = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    assert [row["trial"] for row in rows] == [f"trial-{n:03}" for n in range(1, 21)]
    assert (rows[2]["state"], rows[2]["E"]) == ("failed", "") and "vit" in rows[2]["reason"]
    done = [row for row in rows if row["state"] == "done"]
    num_pruned = 19 - len(done)
    assert text.startswith(f"20 of 20 trials: {len(done)} done, {num_pruned} pruned, 1 failed")
    best = min(done, key=lambda row: float(row["E"]))
    assert text.splitlines()[3].split()[:2] == [best["trial"], f"{float(best['E']):.4f}"]
    assert load_settings(tmp_path / "best.yaml").settings.optim.lr == float(best["optim.lr"])
    for name in ("history.png", "parallel-coordinates.png", "importances.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG" and name in text
    assert f"optuna-dashboard sqlite:///{tmp_path}/study.db" in text


def test_few_trials_are_not_drawn_and_none_is_a_table_too(tmp_path):
    sweep = make_sweep(trials=2)
    study = run(tmp_path, sweep, lambda *arguments, **more: refused())
    assert "2 of 2 trials: 2 failed" in report_trials(study, tmp_path, sweep, CPU)
    assert not list(tmp_path.glob("*.png")) and not (tmp_path / "best.yaml").exists()


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
def finished(config, tmp_path_factory):
    """The folder of a finished sweep, and what it printed."""
    folder = tmp_path_factory.mktemp("sweeps")
    command = Command(folder, "crossent", "sweep", "-c", config, "--out", folder / "sweep")
    return folder / "sweep", command.end(status=0)[0]


def best_E(path):
    return RunFolder(path).records()[-1]["best_E"]


def test_a_line_per_trial_and_the_best_at_the_end(finished):
    folder, out = finished
    Es = {name: best_E(folder / name) for name in TRIALS}
    for name, E in Es.items():
        assert any(line.startswith(name) and f"{E:.4f}" in line for line in out.splitlines())
    best = min(Es, key=Es.get)
    assert "3 of 3 trials: 3 done\n" in out
    assert f"best: {best}, E = {Es[best]:.4f} (" in out and "a little too good" in out
    equal = out.partition("picture by picture: ")[2].splitlines()[0]
    assert equal == "none" or set(equal.split(", ")) <= set(TRIALS) - {best}
    assert f"python train.py -c {folder / 'best.yaml'} --out runs/sweep-best" in out
    assert "\r" not in out, "no bar off a terminal"
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert [float(row["E"]) for row in rows] == list(Es.values())


def test_the_command_of_the_best_trains_the_best(finished, tmp_path):
    folder, _ = finished
    best = min(TRIALS, key=lambda name: best_E(folder / name))
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


def test_killed_and_stopped_and_resumed_it_has_all_its_trials(finished, config, tmp_path):
    folder = tmp_path / "sweep"
    words = ("crossent", "sweep", "-c", config, "--out", folder)
    killed = InSecondTrial("killed", "after a step")
    Command(tmp_path, *words, mishap=killed).end(-signal.SIGKILL)
    stopped = InSecondTrial("SIGINT", "after a step")
    out, err = Command(tmp_path, "crossent", "sweep", "--resume", folder, mishap=stopped).end(130)
    assert out.splitlines()[-1] == (
        f"SIGINT: all is saved; go on with: python -m crossent sweep --resume {folder}"
    )
    assert err == "" and not (folder / "trials.csv").exists()
    out, _ = Command(tmp_path, "crossent", "sweep", "--resume", folder).end(status=0)
    assert "3 of 3 trials: 3 done" in out
    for name in TRIALS[:2]:  # the second went on from its checkpoint, twice
        assert first_difference(RunFolder(finished[0] / name), RunFolder(folder / name)) is None
    assert {path.name for path in folder.glob("trial-*")} == set(TRIALS)


def test_with_a_trial_out_of_memory_it_ends_with_a_table(config, tmp_path, monkeypatch, capsys):
    def train_one(loaded, path, is_old, caller):
        if path.name == "trial-002":
            out_of_memory()
        return train_run(loaded, path, is_old, caller)

    monkeypatch.setattr(sweep_module, "train_run", train_one)
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert main(["sweep", "-c", str(config), "--out", str(tmp_path / "sweep")]) == EXIT_DONE
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
    out = capsys.readouterr().out
    assert "trial-002  failed: out of memory: " in out and "CPUAllocator" in out
    assert "3 of 3 trials: 2 done, 1 failed" in out and "best: trial-00" in out


def test_one_process_works_on_a_sweep(config, tmp_path):
    (tmp_path / "sweep.yaml").write_text(load_sweep(str(config)).to_yaml())
    with RunFolder(tmp_path).in_use(), pytest.raises(UserError, match="in use by another"):
        main(["sweep", "--resume", str(tmp_path)])


def test_folds_are_judged_together(tmp_path):
    root = draw_folder(tmp_path / "pictures", num=24)
    config = tmp_path / "sweep.yaml"
    config.write_text(TEXT + f"data: {{source: folder, root: {root}, folds: 2}}\n")
    folder = tmp_path / "sweep"
    words = ("crossent", "sweep", "-c", config, "sweep.trials=2", "--out", folder)
    out, _ = Command(tmp_path, *words).end(status=0)
    assert "data.folds=null" in out and "2 of 2 trials: 2 done" in out
    first, _ = ended(open_study(folder, load_sweep(str(folder / "sweep.yaml"))))
    assert list(first.intermediate_values) == [1, 2], "a value after each fold"
    Command(tmp_path, "--resume", folder / "trial-001").end(status=0)
    summary = json.loads((folder / "trial-001" / "summary.json").read_text())
    assert first.value == first.intermediate_values[2]
    assert first.value == pytest.approx(summary["E"]["value"], rel=1e-5)
    assert summary["num_images"] == 27


def test_more_trials_can_be_asked_for(config, tmp_path):
    (tmp_path / "sweep.yaml").write_text(load_sweep(str(config)).to_yaml())
    assert resume_sweep(tmp_path, ["sweep.trials=4"]).num_trials == 4
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
def test_other_settings_are_refused(finished, words, message):
    with pytest.raises(UserError, match=message):
        main(["sweep", "--resume", str(finished[0]), *words])


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


def test_a_used_folder_is_refused_before_any_picture_is_decoded(tmp_path, monkeypatch):
    (tmp_path / "own.yaml").write_text(TEXT + "data: {source: folder, root: here}\n")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "config.yaml").write_text("")
    monkeypatch.setattr(sweep_module, "make_data", lambda settings: pytest.fail("decoded"))
    with pytest.raises(UserError, match="is used already"):
        begin_sweep(tmp_path / "own.yaml", [], tmp_path / "sweep")


def test_pictures_that_are_gone_cost_no_trial(tmp_path):
    root = draw_folder(tmp_path / "pictures", num=12)
    (tmp_path / "own.yaml").write_text(TEXT + f"data: {{source: folder, root: {root}}}\n")
    text = load_sweep(str(tmp_path / "own.yaml")).to_yaml()
    (tmp_path / "sweep.yaml").write_text(text)
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="pictures"):
        main(["sweep", "--resume", str(tmp_path)])
    assert not (tmp_path / "study.db").exists()


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
