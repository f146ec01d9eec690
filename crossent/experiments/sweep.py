"""A sweep: many runs with different settings, to find those with the smallest E on validation.

SWEEP/sweep.yaml   what is tried          SWEEP/trial-001, ...   ordinary run folders, or groups
SWEEP/journal.jsonl   optuna's journal    SWEEP/sweep.html, trials.csv, best.yaml   what came of it
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import optuna
import torch
from optuna.trial import TrialState

from crossent.config import FIELDS, Loaded, Settings, with_values
from crossent.errors import EXIT_DONE, EXIT_NOT_FINITE, UserError
from crossent.experiments.group import Group, wants_group
from crossent.experiments.space import Sweep
from crossent.experiments.study import Trials, make_pruner
from crossent.experiments.train_group import train_runs
from crossent.pretrained import follow_weights
from crossent.train_run import Caller, train_run
from crossent.training.run import Pruned
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted

REASON = "reason"  # attribute of a trial that has no value


@dataclass(frozen=True)
class Point:
    """What a trial had come to after a step: an epoch, or a fold with all before it."""

    step: int
    E: float
    accuracy: float


@dataclass
class TrialRun:
    """A trial on its way from settings to a value."""

    trial: optuna.Trial
    path: Path
    settings: Settings
    show: Callable[[int, Point], None]

    def train(self, caller: Caller) -> int:
        """Train it, or go on with it; 0 means that optuna has been told how it ended."""
        study = self.trial.study
        caller = replace(caller, watch=self.watch)
        try:
            self.report()  # what a killed process did not come to report
            status = self.train_all(caller)
        except Pruned:
            study.tell(self.trial, state=TrialState.PRUNED)
            return EXIT_DONE
        except (UserError, torch.OutOfMemoryError) as error:  # others may fit
            self.trial.set_user_attr(REASON, str(error).partition("\n")[0])
            study.tell(self.trial, state=TrialState.FAIL)
            return EXIT_DONE
        if status == EXIT_DONE:
            study.tell(self.trial, value_of(points(self.path, self.settings), self.settings).E)
        if status == EXIT_NOT_FINITE:  # as bad as can be, and the sampler shall know it
            self.trial.set_user_attr(REASON, "a number was not finite")
            study.tell(self.trial, state=TrialState.PRUNED)
        return EXIT_DONE if status == EXIT_NOT_FINITE else status

    def train_all(self, caller: Caller) -> int:
        settings = follow_weights(self.settings)
        origins = dict.fromkeys(FIELDS, "sweep.yaml")
        origins |= dict.fromkeys(self.trial.params, f"trial {self.trial.number + 1}")
        if not wants_group(None, settings, None):
            is_old = RunFolder(self.path).config.exists()
            return train_run(Loaded(settings, origins), self.path, is_old, caller).status
        group = Group(self.path)
        RunFolder(self.path).make()
        if not group.exists:
            group.create(settings, None)
        return train_runs(group, replace(caller, watch=None), after_each=self.report)

    def watch(self, record: dict[str, Any]) -> None:
        self.report()

    def report(self) -> None:
        """Tell what is new.

        Raises:
            Pruned: the others were better at this step.
        """
        found = points(self.path, self.settings)
        known = self.trial.study.get_trials(deepcopy=False)[self.trial.number].intermediate_values
        for point in found:
            if point.step not in known:
                self.trial.report(point.E, point.step)
        if found:
            self.show(self.trial.number, found[-1])
            if found[-1].step < num_steps(self.settings) and self.trial.should_prune():
                raise Pruned


def points(path: Path, settings: Settings) -> list[Point]:
    """From the logs of a trial, as far as it has come."""
    if has_folds(settings):
        return fold_points(path)
    records = RunFolder(path).records()
    return [point_of(record) for record in records if record["kind"] == "epoch"]


def point_of(record: dict[str, Any]) -> Point:
    return Point(record["epoch"], record["val"]["E"], record["val"]["accuracy"])


def fold_points(path: Path) -> list[Point]:
    """After each fold, the means over the pictures of all so far; each after its last epoch."""
    found: list[Point] = []
    count, E, right = 0, 0.0, 0.0
    for run in Group(path).runs if Group(path).exists else []:
        records = RunFolder(run).records()
        if not records or records[-1]["kind"] != "end":
            break
        num, last = records[0]["num_images"]["val"], point_of(records[-2])
        count, E, right = count + num, E + num * last.E, right + num * last.accuracy
        found.append(Point(len(found) + 1, E / count, right / count))
    return found


def value_of(found: list[Point], settings: Settings) -> Point:
    """What a trial is judged by: of the epoch whose model is kept."""
    if has_folds(settings) or settings.train.keep == "last":
        return found[-1]
    return min(found, key=lambda point: point.E)


def has_folds(settings: Settings) -> bool:
    return settings.data.folds is not None and settings.data.fold is None


def num_steps(settings: Settings) -> int:
    return settings.data.folds or 0 if has_folds(settings) else settings.train.epochs


def settings_of(sweep: Sweep, params: dict[str, Any]) -> Settings:
    """Of a trial. The split stays what it is, whichever seed is tried."""
    return with_values(sweep.settings, {"data.seed": sweep.settings.data_seed, **params})


def trial_path(folder: Path, number: int) -> Path:
    return folder / f"trial-{number + 1:03}"


class Watcher(Protocol):
    """Whoever shows what happens."""

    def show(self, number: int, point: Point) -> None:
        """A trial under way has come to this."""

    def ended(self, trial: optuna.trial.FrozenTrial) -> None:
        """A trial has just ended."""


def train_trials(trials: Trials, caller: Caller, watcher: Watcher) -> None:
    """Train trial after trial, until there are as many as there should be.

    Raises:
        Interrupted: a signal came; all is saved.
    """
    sweep = trials.sweep
    trials.study.pruner = make_pruner(sweep.plan, num_steps(sweep.settings))
    while True:
        with caller.stop.raising():
            pass
        with trials.claimed() as trial:
            if trial is None:
                return
            settings = settings_of(sweep, trial.params)
            run = TrialRun(trial, trial_path(trials.folder, trial.number), settings, watcher.show)
            status = run.train(caller)
            if status != EXIT_DONE:
                raise Interrupted(status - 128)
            watcher.ended(trials.study.get_trials(deepcopy=False)[trial.number])
