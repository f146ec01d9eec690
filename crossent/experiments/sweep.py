"""A sweep: many runs with different settings, to find those with the smallest E on validation.

SWEEP/sweep.yaml   what is tried          SWEEP/trial-001, ...   ordinary run folders, or groups
SWEEP/study.db     optuna's storage       SWEEP/trials.csv, best.yaml, *.png   the results
"""

import gc
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from crossent.build import make_data
from crossent.config import FIELDS, Loaded, Settings
from crossent.errors import EXIT_DONE, UserError
from crossent.experiments.group import Group, has_folds, train_runs, wants_group
from crossent.experiments.space import Sweep, load_sweep
from crossent.experiments.trials import ended, in_words, last_tries, report_trials, settings_of
from crossent.files import write_text
from crossent.pretrained import follow_weights
from crossent.train_run import Caller, train_run
from crossent.training.run import Pruned
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted

Report = Callable[..., None]  # called after each epoch or fold
CONFIG = "sweep.yaml"
MAX_RETRIES = 4  # of a trial whose process was killed, or stopped


def sweep(config: Path, resume: Path | None, overrides: Sequence[str], out: Path | None) -> int:
    """Begin a sweep, or go on with the one in the folder `resume`; return the exit status."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise UserError("a sweep is trained by one process: leave out torchrun")
    if resume is None:
        return run_sweep(*new_sweep(config, overrides, out))
    if out is not None:
        raise UserError(f"--resume {resume} has its own folder; leave out --out")
    return run_sweep(resume, old_sweep(resume, overrides))


def new_sweep(config: Path, overrides: Sequence[str], out: Path | None) -> tuple[Path, Sweep]:
    """Read a sweep, and name its folder; raise UserError if that is used."""
    sweep = load_sweep(str(config), overrides)
    folder = out or Path("runs") / f"{config.stem}-sweep-{datetime.now():%Y%m%d-%H%M%S}"
    if any((folder / file).exists() for file in (CONFIG, "config.yaml", "group.json")):
        raise UserError(f"{folder} is used already: sweep --resume {folder}, or another --out")
    if not {"model.name", "model.weights"} & sweep.space.keys():  # else each trial has its own
        sweep = replace(sweep, settings=follow_weights(sweep.settings))
    wants_group(None, sweep.settings, None)
    return folder, sweep


def old_sweep(folder: Path, overrides: Sequence[str]) -> Sweep:
    """Read a sweep as it was, or with another number of trials, but nothing else changed."""
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder} holds no sweep: it has no {CONFIG}")
    others = [word for word in overrides if not word.startswith("sweep.trials=")]
    if others:
        words = "a sweep goes on with its own settings; only sweep.trials may differ"
        raise UserError(f"{folder}: {words}: leave out {' '.join(others)}")
    return load_sweep(str(folder / CONFIG), overrides)


def run_sweep(folder: Path, sweep: Sweep) -> int:
    """Train the trials that are missing, one after the other, then print and write the results."""
    if sweep.settings.data.source != "drawings":
        make_data(sweep.settings)  # a mistake in the pictures costs no trial; trials find the cache
    caller = Caller(f"python -m crossent sweep --resume {folder}", silent=True)
    with RunFolder(folder).in_use():
        write_text(folder / CONFIG, sweep.to_yaml())
        try:
            caller.stop.install()
            study = open_study(folder, sweep)
            train_trials(study, folder, sweep, caller)
            with caller.stop.install().raising():
                print(report_trials(study, folder, sweep))
        except Interrupted as interrupted:
            print(f"{interrupted}: all is saved; go on with: {caller.go_on}")
            return interrupted.exit_status
    if not any(trial.state == TrialState.COMPLETE for trial in ended(study)):
        raise UserError(f"no trial of {folder} came to its end; the table says why")
    return EXIT_DONE


def open_study(folder: Path, sweep: Sweep) -> optuna.Study:
    """Open the study in the folder, or create it; what a dead process left is tried once more."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    # the median, the usual choice, would leave few: the others get better
    first_step = max(1, num_steps(sweep.settings) // 3)
    pruner = optuna.pruners.PercentilePruner(75.0, n_warmup_steps=first_step)
    storage = f"sqlite:///{folder.resolve() / 'study.db'}"
    study = optuna.create_study(
        study_name="sweep", storage=storage, load_if_exists=True, pruner=pruner
    )
    try_again = optuna.storages.RetryHeartbeatStaleTrialCallback(MAX_RETRIES)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        try_again(study, trial)  # in its old folder, from its checkpoint
    seed = (sweep.plan.seed + len(study.trials)) % 2**32  # a resumed sweep tries something new
    match sweep.plan.strategy:
        case "grid":
            study.sampler = optuna.samplers.GridSampler(sweep.grid, sweep.plan.seed)
        case "random":
            study.sampler = optuna.samplers.RandomSampler(seed)
        case "tpe":
            study.sampler = optuna.samplers.TPESampler(seed=seed)
    return study


def train_trials(study: optuna.Study, folder: Path, sweep: Sweep, caller: Caller) -> None:
    """Train the trials that are missing; one that fails, for whatever reason, ends only itself."""

    def tell(study: optuna.Study, trial: FrozenTrial) -> None:
        print(in_words(trial), flush=True)
        gc.collect()  # a trial out of memory must not leave the next one without

    missing = sweep.num_trials - len(ended(study))
    if missing > 0:
        objective = partial(train_trial, folder, sweep, caller)
        study.optimize(objective, n_trials=missing, catch=(Exception,), callbacks=[tell])


def train_trial(folder: Path, sweep: Sweep, caller: Caller, trial: optuna.Trial) -> float:
    """Train a trial, or go on with it; return E on validation of the model that is kept."""
    for setting, axis in sweep.space.items():
        if isinstance(axis, list):
            trial.suggest_categorical(setting, axis)
        elif FIELDS[setting].annotation in (int, int | None):
            trial.suggest_int(setting, int(axis.low), int(axis.high), log=axis.log)
        else:
            trial.suggest_float(setting, axis.low, axis.high, log=axis.log)
    name = trial.user_attrs.get("folder") or f"trial-{len(last_tries(trial.study)) + 1:03}"
    trial.set_user_attr("folder", name)
    with caller.stop.raising():  # a signal that came between two trials
        pass
    path, settings = folder / name, settings_of(sweep, trial.params)
    num_told = 0

    def report(record: dict[str, Any] | None = None) -> None:
        nonlocal num_told
        for E, accuracy in progress(path, settings)[num_told:]:
            num_told += 1
            trial.report(E, num_told)
            trial.set_user_attr("accuracy", accuracy)
        if sweep.plan.prune and num_told < num_steps(settings) and trial.should_prune():
            raise Pruned

    try:
        train(path, follow_weights(settings), trial.params, caller, report)
    except Pruned:
        raise optuna.TrialPruned from None
    except Exception as error:
        trial.set_user_attr("reason", reason_of(error))
        raise
    found = progress(path, settings)
    is_last = has_folds(settings) or settings.train.keep == "last"
    E, accuracy = found[-1] if is_last else min(found)
    trial.set_user_attr("accuracy", accuracy)
    return E


def train(
    path: Path, settings: Settings, tried: Iterable[str], caller: Caller, report: Report
) -> None:
    """Train what is missing of a run, or of the folds of a group."""
    if has_folds(settings):
        if not Group(path).exists:
            Group(path).create(settings, None)
        status = train_runs(Group(path), caller, after_each=report)
    else:
        origins = dict.fromkeys(FIELDS, CONFIG) | dict.fromkeys(tried, path.name)
        is_old, watched = RunFolder(path).config.exists(), replace(caller, watch=report)
        status = train_run(Loaded(settings, origins), path, is_old, watched).status
    if status > 128:
        raise Interrupted(status - 128)
    if status != EXIT_DONE:
        raise UserError("a number was not finite")


def reason_of(error: Exception) -> str:
    """Say in a line why a trial failed; the CPU's allocator raises a plain RuntimeError."""
    text = str(error).partition("\n")[0]
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "CPUAllocator" in text:
        return f"out of memory: {text}"
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def progress(path: Path, settings: Settings) -> list[tuple[float, float]]:
    """Read E and accuracy after each step from the logs: an epoch, or a fold and all before it."""
    if not has_folds(settings):
        epochs = (r["val"] for r in RunFolder(path).records() if r["kind"] == "epoch")
        return [(val["E"], val["accuracy"]) for val in epochs]
    found, total, sums = [], 0, np.zeros(2)
    for run in Group(path).runs:
        log = RunFolder(run).records()
        if not log or log[-1]["kind"] != "end":
            break
        num, val = log[0]["num_images"]["val"], log[-2]["val"]
        total, sums = total + num, sums + num * np.array([val["E"], val["accuracy"]])
        found.append((float(sums[0] / total), float(sums[1] / total)))
    return found


def num_steps(settings: Settings) -> int:
    """Return how often a trial is compared with others: after each epoch, or each fold."""
    return settings.data.folds or 0 if has_folds(settings) else settings.train.epochs
