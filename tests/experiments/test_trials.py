"""Who tries what, and how a trial ends: with a training that only writes what E shall have been."""

import argparse
import math
from contextlib import suppress

import numpy as np
import pytest
from optuna.trial import TrialState

from crossent.commands.sweep import begin
from crossent.config import Settings, to_yaml
from crossent.errors import EXIT_DONE, EXIT_NOT_FINITE, UserError
from crossent.experiments.results import (
    Results,
    as_csv,
    collect,
    edges,
    importance_of,
    row_of,
    write_files,
)
from crossent.experiments.space import Choices, Range, Sweep, SweepSettings, load_sweep
from crossent.experiments.study import Trials
from crossent.experiments.sweep import train_trials
from crossent.pretrained import PretrainedWeights
from crossent.train_run import Caller, Outcome
from crossent.training.run_folder import RunFolder
from data.preprocess import Preprocessing
from tests.report.parts import Page
from tests.training.parts import CPU

EPOCHS = 6
SPACE = {"optim.lr": Range(low=0.001, high=1.0, log=True), "train.mixup": Choices((0.0, 1.0))}


class Quiet:
    def show(self, number, point):
        pass

    def ended(self, trial):
        pass


def make_sweep(space=SPACE, **plan):
    settings = Settings(train={"epochs": EPOCHS})
    return Sweep(settings, SweepSettings(**{"strategy": "random", "trials": 4, **plan}), space)


def pretend(E_of):
    """A training whose E on validation is E_of(settings, epoch)."""

    def train_one(loaded, path, is_old, *, caller):
        folder = RunFolder(path)
        if not is_old:
            folder.create(to_yaml(loaded.settings))
        for epoch in range(1, EPOCHS + 1):
            E = E_of(loaded.settings, epoch)
            record = {"kind": "epoch", "epoch": epoch, "val": {"E": E, "accuracy": 0.5}}
            folder.append(record)
            caller.watch(record)
        return EXIT_DONE

    return train_one


def away_from_a_tenth(settings, epoch):
    return 0.2 + abs(math.log10(settings.optim.lr) + 1) / epoch


def run(path, sweep, train_one):
    path.mkdir(exist_ok=True)
    trials = Trials.open(path, sweep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "crossent.experiments.sweep.train_run",
            lambda loaded, path, is_old, caller: Outcome(
                train_one(loaded, path, is_old, caller=caller)
            ),
        )
        train_trials(trials, Caller("go on", silent=True), Quiet())
    return trials


def params(trials):
    return [trial.params for trial in trials.all]


def test_the_value_is_E_of_the_epoch_that_is_kept(tmp_path):
    sweep = make_sweep()
    rising = run(tmp_path / "best", sweep, pretend(lambda settings, epoch: epoch / 10))
    assert [trial.value for trial in rising.all] == [0.1] * 4
    last = Sweep(Settings(train={"epochs": EPOCHS, "keep": "last"}), sweep.plan, SPACE)
    rising = run(tmp_path / "last", last, pretend(lambda settings, epoch: epoch / 10))
    assert [trial.value for trial in rising.all] == [0.6] * 4


def test_each_trial_has_its_settings_in_its_folder(tmp_path):
    from crossent.config import load_settings

    trials = run(tmp_path, make_sweep(), pretend(away_from_a_tenth))
    for number, trial in enumerate(trials.all, start=1):
        found = load_settings(tmp_path / f"trial-{number:03}" / "config.yaml").settings
        assert found.optim.lr == trial.params["optim.lr"]
        assert found.train.mixup == trial.params["train.mixup"]
        assert trial.value == pytest.approx(away_from_a_tenth(found, EPOCHS))
        assert 0.001 <= found.optim.lr <= 1


@pytest.mark.parametrize("strategy", ["random", "tpe"])
def test_what_is_tried_depends_on_the_seed_and_what_is_known(tmp_path, strategy):
    """Not on the past of a process: with one killed in each trial, the sweep is the same."""
    plan = {"strategy": strategy, "trials": 12, "prune": False}
    straight = run(tmp_path / "straight", make_sweep(**plan), pretend(away_from_a_tenth))
    for _ in range(12):
        with suppress(KeyboardInterrupt):
            broken = run(tmp_path / "broken", make_sweep(**plan), only_one())
    assert params(broken) == params(straight)
    assert len({trial["optim.lr"] for trial in params(broken)}) == 12
    other = run(tmp_path / "other", make_sweep(seed=1, **plan), pretend(away_from_a_tenth))
    assert params(other) != params(straight)


def only_one():
    """A training of a process that is killed in its second trial."""
    good, paths = pretend(away_from_a_tenth), []

    def train_one(loaded, path, is_old, *, caller):
        paths.append(path)
        if len(paths) == 2:
            raise KeyboardInterrupt
        return good(loaded, path, is_old, caller=caller)

    return train_one


def test_tpe_looks_near_what_was_good(tmp_path):
    space = {"optim.lr": SPACE["optim.lr"]}
    sweep = make_sweep(space, strategy="tpe", trials=30, prune=False)
    trials = run(tmp_path, sweep, pretend(away_from_a_tenth))
    away = [abs(math.log10(trial["optim.lr"]) + 1) for trial in params(trials)]
    assert np.mean(away[20:]) < 0.7 * np.mean(away[:10])


def test_a_grid_is_gone_through_once_also_by_two(tmp_path):
    space = {"optim.lr": Choices((0.1, 0.2, 0.3)), "train.mixup": Choices((0.0, 1.0))}
    sweep = make_sweep(space, strategy="grid", trials=None)
    (tmp_path / "sweep").mkdir()
    first, second = (Trials.open(tmp_path / "sweep", sweep) for _ in range(2))
    for trials in (first, second) * 3:
        with trials.claimed() as trial:
            trials.study.tell(trial, 1.0)
    with second.claimed() as nothing:
        assert nothing is None
    points = [tuple(trial.values()) for trial in params(first)]
    assert points == [(lr, mixup) for lr in (0.1, 0.2, 0.3) for mixup in (0.0, 1.0)]


def test_two_never_work_on_one_trial_and_a_dropped_one_is_taken_up(tmp_path):
    first, second = (Trials.open(tmp_path, make_sweep()) for _ in range(2))
    with first.claimed() as one:
        with second.claimed() as other:
            assert (one.number, other.number) == (0, 1)
        with second.claimed() as again:  # was let go without an end, as by a kill
            assert again.number == 1 and again.params == other.params
            second.study.tell(again, 0.5)
    with second.claimed() as left:
        assert left.number == 0 and left.params == one.params
    assert len(first.all) == 2


def test_a_line_torn_by_a_power_cut_is_dropped(tmp_path):
    before = params(run(tmp_path, make_sweep(trials=2), pretend(away_from_a_tenth)))
    journal = tmp_path / "journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content + content.splitlines()[-1][:30])
    after = run(tmp_path, make_sweep(trials=4), pretend(away_from_a_tenth))
    assert params(after)[:2] == before
    assert [trial.state for trial in after.all] == [TrialState.COMPLETE] * 4
    assert content == journal.read_bytes()[: len(content)]


def test_a_hopeless_trial_is_stopped(tmp_path):
    """The fifth of those that were as good as the others, and one that was far worse."""
    Es = iter([1.0, 1.1, 1.2, 1.3, 1.15, 5.0])

    def E_of(settings, epoch, current={}):  # noqa: B006 - one E for all epochs of a trial
        if settings.optim.lr not in current:
            current[settings.optim.lr] = next(Es)
        return current[settings.optim.lr] / epoch

    trials = run(tmp_path / "sweep", make_sweep(trials=6), pretend(E_of))
    states = [trial.state for trial in trials.all]
    assert states == [TrialState.COMPLETE] * 5 + [TrialState.PRUNED]
    row = row_of(trials.all[5], trials.sweep, trials.folder)
    assert (row.state, row.steps, row.point.E) == ("pruned", f"2/{EPOCHS}", 2.5)
    Es = iter([1.0, 1.1, 1.2, 1.3, 1.15, 5.0])
    patient = run(tmp_path / "patient", make_sweep(trials=6, prune=False), pretend(E_of))
    assert patient.all[5].state == TrialState.COMPLETE


def test_a_trial_that_fails_or_explodes_does_not_end_the_sweep(tmp_path):
    good = pretend(away_from_a_tenth)

    def train_one(loaded, path, is_old, *, caller):
        number = int(path.name[-3:])
        if number == 1:
            raise UserError("data.image_size is 64; vit takes 224 only")
        return EXIT_NOT_FINITE if number == 2 else good(loaded, path, is_old, caller=caller)

    trials = run(tmp_path, make_sweep(), train_one)
    rows = [row_of(trial, trials.sweep, trials.folder) for trial in trials.all]
    assert [row.state for row in rows] == ["failed", "pruned", "done", "done"]
    assert rows[0].result == "failed: data.image_size is 64; vit takes 224 only"
    assert rows[1].result == "pruned: a number was not finite"
    assert rows[0].steps == f"0/{EPOCHS}" and rows[0].point is None


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
    sweep = Sweep(open_, SweepSettings(strategy="grid"), space)
    trials = run(tmp_path / "sweep", sweep, pretend(E_of))
    default = (0.25, 0.25, 0.25)
    assert seen == {None: (64, default), "a": (40, (0.1, 0.1, 0.1)), "b": (48, default)}
    assert trials.all[3].state == TrialState.FAIL


@pytest.mark.parametrize("tried", ["weights: [null, a]", "name: [resnet9, small_cnn]"])
def test_what_its_weights_decide_stays_open_until_then(tmp_path, monkeypatch, tried):
    monkeypatch.chdir(tmp_path)
    text = f"data: {{image_size: null}}\nspace: {{model: {{{tried}}}}}\n"
    (tmp_path / "own.yaml").write_text(text)
    words = argparse.Namespace(config=tmp_path / "own.yaml", out=tmp_path / "sweep", overrides=[])
    assert begin(words)[1].settings.data.image_size is None
    assert load_sweep(str(tmp_path / "sweep" / "sweep.yaml")).settings.data.image_size is None


def test_what_was_logged_but_not_reported_is_reported_by_the_next(tmp_path):
    sweep = make_sweep(trials=1)

    def killed(loaded, path, is_old, *, caller):
        RunFolder(path).create(to_yaml(loaded.settings))
        RunFolder(path).append({"kind": "epoch", "epoch": 1, "val": {"E": 3.0, "accuracy": 0.1}})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, sweep, killed)

    def resumed(loaded, path, is_old, *, caller):
        assert is_old
        record = {"kind": "epoch", "epoch": 2, "val": {"E": 2.0, "accuracy": 0.2}}
        RunFolder(path).append(record)
        caller.watch(record)
        return EXIT_DONE

    trials = run(tmp_path, sweep, resumed)
    (trial,) = trials.all
    assert trial.intermediate_values == {1: 3.0, 2: 2.0} and trial.value == 2.0


def test_the_setting_that_decides_is_found(tmp_path):
    plan = {"strategy": "random", "trials": 20, "prune": False}
    trials = run(tmp_path, make_sweep(**plan), pretend(away_from_a_tenth))
    found = importance_of(trials.study)
    assert found["optim.lr"] > 0.8 and sum(found.values()) == pytest.approx(1)
    few = run(tmp_path / "few", make_sweep(**plan | {"trials": 7}), pretend(away_from_a_tenth))
    assert importance_of(few.study) == {}


def test_page_and_table_of_a_sweep(tmp_path, monkeypatch):
    """The models are not there, so their measurement is left out."""
    from dataclasses import replace

    monkeypatch.setattr("crossent.experiments.results.MAX_RIVALS", -1)
    sweep = make_sweep(trials=12)
    trials = run(tmp_path, sweep, pretend(away_from_a_tenth))
    results = replace(collect(trials, CPU), folder=tmp_path)
    write_files(results)
    page = Page((tmp_path / "sweep.html").read_text())
    assert {"best", "settings", "trials"} <= page.ids()
    charts = [a for _, a in page.elements if a.get("class") == "chart"]
    assert len(charts) == 1 + len(SPACE)
    assert f"python train.py -c {tmp_path / 'best.yaml'}" in page.text
    for row in results.rows:
        assert row.name in page.text
    lines = as_csv(results).splitlines()
    assert lines[0] == "trial,state,E,accuracy,steps,optim.lr,train.mixup,reason"
    assert len(lines) == 13
    best = results.ranked[0]
    assert best.point.E == min(row.point.E for row in results.rows if row.state == "done")
    assert f"lr: {best.params['optim.lr']}" in (tmp_path / "best.yaml").read_text()


def test_a_best_value_at_the_end_of_its_range_is_told(tmp_path):
    sweep = make_sweep({"optim.lr": Range(low=0.1, high=1.0)}, trials=30)
    trials = run(tmp_path / "edge", sweep, pretend(lambda settings, epoch: settings.optim.lr))
    results = Results(sweep, tmp_path, rows_of(trials), {}, None, {})
    assert edges(results) == ["optim.lr is at the low end of its range: try beyond it"]
    inside = Results(
        sweep, tmp_path, [row for row in results.rows if row.point.E > 0.2], {}, None, {}
    )
    assert edges(inside) == []


def rows_of(trials):
    return [row_of(trial, trials.sweep, trials.folder) for trial in trials.all]


def test_nothing_done_is_a_page_too(tmp_path):
    (tmp_path / "sweep").mkdir()
    trials = Trials.open(tmp_path / "sweep", make_sweep())
    write_files(collect(trials, CPU))
    assert "Too few trials" in Page((tmp_path / "sweep" / "sweep.html").read_text()).text
    assert not (tmp_path / "sweep" / "best.yaml").exists()
