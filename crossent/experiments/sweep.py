"""A sweep: many runs with different settings, to find those with the smallest E on validation.

SWEEP/sweep.yaml   what is tried          SWEEP/trial-001, ...   ordinary run folders, or groups
SWEEP/study.db     optuna's storage       SWEEP/trials.csv, best.yaml, *.png   the results
"""

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from crossent.build import make_data
from crossent.config import FIELDS, Loaded, Settings, differences
from crossent.device import choose_device
from crossent.errors import EXIT_DONE, UserError
from crossent.experiments.group import Group, has_folds, train_runs, wants_group
from crossent.experiments.space import Choices, Range, Sweep, SweepSettings, grid_values, load_sweep
from crossent.experiments.trials import attempts, in_words, report_trials, settings_of
from crossent.files import write_text
from crossent.pretrained import follow_weights
from crossent.resume import FREE
from crossent.train_run import Caller, train_run
from crossent.training.run import Pruned
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted
from models import MODEL_NAMES

CONFIG = "sweep.yaml"
FIRST_RANDOM = 10  # trials before TPE has something to learn from; of a short sweep a quarter
FIRST_WHOLE = 4  # trials that nothing is compared with
MAX_ATTEMPTS = 3  # at a trial that kills its process


def sweep(config: Path, resume: Path | None, overrides: Sequence[str], out: Path | None) -> int:
    """Begin a sweep, or go on with the one in the folder `resume`; return the exit status.

    Raises:
        UserError: it cannot begin or go on, or no trial came to its end.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise UserError("a sweep is trained by one process: leave out torchrun")
    if resume is None:
        return run_sweep(*begin_sweep(config, overrides, out))
    if out is not None:
        raise UserError(f"--resume {resume} has its own folder; leave out --out")
    return run_sweep(resume, resume_sweep(resume, overrides))


def begin_sweep(config: Path, overrides: Sequence[str], out: Path | None) -> tuple[Path, Sweep]:
    """Make the folder of a new sweep, after a look at all that could stop every trial of it.

    Raises:
        UserError: the folder is used, or the sweep or its pictures cannot be used.
    """
    sweep = load_sweep(str(config), overrides, MODEL_NAMES)
    folder = out or Path("runs") / f"{config.stem}-sweep-{datetime.now():%Y%m%d-%H%M%S}"
    if any((folder / file).exists() for file in (CONFIG, "config.yaml", "group.json")):
        raise UserError(f"{folder} is used already: sweep --resume {folder}, or another --out")
    if not {"model.name", "model.weights"} & sweep.space.keys():  # else each trial has its own
        sweep = replace(sweep, settings=follow_weights(sweep.settings))
    wants_group(None, sweep.settings, None)
    check_pictures(sweep)
    RunFolder(folder).make()
    write_text(folder / CONFIG, sweep.to_yaml())
    return folder, sweep


def resume_sweep(folder: Path, overrides: Sequence[str]) -> Sweep:
    """Read a sweep as it was, or with another number of trials.

    Raises:
        UserError: the folder holds none, or its trials could not be compared any more.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder} holds no sweep: it has no {CONFIG}")
    path = str(folder / CONFIG)
    old, new = load_sweep(path), load_sweep(path, overrides)
    found = differences(old.settings, new.settings)
    refused = [line for line in found if line.partition(":")[0] not in FREE]
    if refused or old.plan.model_copy(update={"trials": new.plan.trials}) != new.plan:
        raise UserError(
            f"{folder}: a sweep goes on with its own settings; only sweep.trials may differ"
            + (f": {'; '.join(refused)}" if refused else "")
        )
    check_pictures(new)
    if new != old:
        write_text(folder / CONFIG, new.to_yaml())
    return new


def check_pictures(sweep: Sweep) -> None:
    """Decode the pictures once: trials find them cached, and a mistake in them costs no trial."""
    if sweep.settings.data.source != "drawings":
        make_data(sweep.settings)


def run_sweep(folder: Path, sweep: Sweep) -> int:
    """Train the trials that are missing, one after the other, then print and write the results.

    Returns:
        the exit status.

    Raises:
        UserError: another process works on this sweep, or no trial came to its end.
    """
    caller = Caller(f"python -m crossent sweep --resume {folder}", silent=True)
    with RunFolder(folder).in_use():
        try:
            caller.stop.install()
            study = open_study(folder, sweep)
            train_trials(study, folder, sweep, caller)
            with caller.stop.install().raising():
                device = choose_device(sweep.settings.train.device)
                print(report_trials(study, folder, sweep, device))
        except Interrupted as interrupted:
            print(f"{interrupted}: all is saved; go on with: {caller.go_on}")
            return interrupted.exit_status
    if not any(t.state == TrialState.COMPLETE for t in study.get_trials(deepcopy=False)):
        raise UserError(f"no trial of {folder} came to its end; the table says why")
    return EXIT_DONE


def open_study(folder: Path, sweep: Sweep) -> optuna.Study:
    """Open the study in the folder, or create it; what a dead process left is tried once more."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="sweep",
        storage=f"sqlite:///{folder.resolve() / 'study.db'}",
        direction="minimize",
        load_if_exists=True,
        pruner=make_pruner(sweep.plan, num_steps(sweep.settings)),
    )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        name = trial.user_attrs.get("folder", "")
        killed = [t for t in attempts(study).get(name, []) if "stopped" not in t.user_attrs]
        if len(killed) < MAX_ATTEMPTS:  # in its old folder it goes on from its checkpoint
            again = optuna.create_trial(
                state=TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs={"folder": name} if name else None,
                system_attrs=trial.system_attrs,  # enqueue_trial would lose its place in a grid
            )
            study.add_trial(again)
    study.sampler = make_sampler(sweep, len(study.trials))
    return study


def make_sampler(sweep: Sweep, num_known: int) -> optuna.samplers.BaseSampler:
    """Make optuna's sampler; its seed moves on, so that a resumed sweep tries something new."""
    seed = int(np.random.SeedSequence([sweep.plan.seed, num_known]).generate_state(1)[0])
    if sweep.plan.strategy == "grid":
        grid = {name: list(grid_values(axis)) for name, axis in sweep.space.items()}
        return optuna.samplers.GridSampler(grid, seed=sweep.plan.seed)
    if sweep.plan.strategy == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    first = max(FIRST_WHOLE, min(FIRST_RANDOM, sweep.num_trials // 4))
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=first)


def make_pruner(plan: SweepSettings, num_steps: int) -> optuna.pruners.BasePruner:
    """Stop a trial that is worse than three in four of the others, after a third of the steps.

    Half of them, the usual choice, would be many: those that are left get better and better.
    """
    if not plan.prune:
        return optuna.pruners.NopPruner()
    return optuna.pruners.PercentilePruner(
        75.0, n_startup_trials=FIRST_WHOLE, n_warmup_steps=max(1, num_steps // 3)
    )


def train_trials(study: optuna.Study, folder: Path, sweep: Sweep, caller: Caller) -> None:
    """Train as many trials as are missing; one that fails, for whatever reason, ends only itself.

    Raises:
        Interrupted: a signal came; all is saved.
    """
    num_ended = sum(tries[-1].state.is_finished() for tries in attempts(study).values())
    if num_ended >= sweep.num_trials:
        return
    with tqdm(total=sweep.num_trials, initial=num_ended, leave=False, disable=None) as bar:

        def tell(study: optuna.Study, trial: FrozenTrial) -> None:
            bar.write(f"{trial.user_attrs['folder']}  {in_words(trial)}")
            bar.update()
            if trial.state == TrialState.FAIL:
                gc.collect()  # a trial out of memory must not leave the next one without

        objective = Objective(folder, sweep, caller, bar.set_postfix_str)
        study.optimize(
            objective,
            n_trials=sweep.num_trials - num_ended,
            catch=(Exception,),
            callbacks=[tell],
        )


@dataclass(frozen=True)
class Objective:
    """Trains a trial to its value: E on validation of the model that is kept.

    Args:
        show: told how far the trial is.
    """

    folder: Path
    sweep: Sweep
    caller: Caller
    show: Callable[[str], None]

    def __call__(self, trial: optuna.Trial) -> float:
        is_grid = self.sweep.plan.strategy == "grid"
        for setting, axis in self.sweep.space.items():
            suggest(trial, setting, axis, is_grid)
        name = trial.user_attrs.get("folder") or f"trial-{len(attempts(trial.study)) + 1:03}"
        trial.set_user_attr("folder", name)
        try:
            with self.caller.stop.raising():
                pass
            return self.value(trial, self.folder / name, settings_of(self.sweep, trial.params))
        except Pruned:
            raise optuna.TrialPruned from None
        except Interrupted:
            trial.set_user_attr("stopped", True)
            raise
        except Exception as error:
            trial.set_user_attr("reason", reason_of(error))
            raise

    def value(self, trial: optuna.Trial, path: Path, settings: Settings) -> float:
        """Train the trial, or go on with it.

        Raises:
            Pruned: the others were better at some step.
            Interrupted: a signal came; what was trained is saved.
        """
        num_told = 0

        def report(record: dict[str, Any] | None = None) -> None:
            nonlocal num_told
            for E, accuracy in progress(path, settings)[num_told:]:
                num_told += 1
                trial.report(E, num_told)
                trial.set_user_attr("accuracy", accuracy)
                self.show(f"{path.name}, step {num_told}: E = {E:.4f}")
            if 0 < num_told < num_steps(settings) and trial.should_prune():
                raise Pruned

        report()  # what a killed process had trained
        status = self.train(trial, path, settings, report)
        if status > 128:
            raise Interrupted(status - 128)
        if status != EXIT_DONE:
            raise UserError("a number was not finite")
        found = progress(path, settings)
        is_last = has_folds(settings) or settings.train.keep == "last"
        E, accuracy = found[-1] if is_last else min(found)
        trial.set_user_attr("accuracy", accuracy)
        return E

    def train(
        self, trial: optuna.Trial, path: Path, settings: Settings, report: Callable[..., None]
    ) -> int:
        settings = follow_weights(settings)
        if wants_group(None, settings, None):
            group = Group(path)
            RunFolder(path).make()
            if not group.exists:
                group.create(settings, None)
            return train_runs(group, self.caller, after_each=report)
        origins = dict.fromkeys(FIELDS, CONFIG) | dict.fromkeys(trial.params, path.name)
        is_old = RunFolder(path).config.exists()
        caller = replace(self.caller, watch=report)
        return train_run(Loaded(settings, origins), path, is_old, caller).status


def suggest(trial: optuna.Trial, name: str, axis: Choices | Range, is_grid: bool) -> None:
    """Let optuna choose the value of a setting."""
    if is_grid or isinstance(axis, Choices):
        trial.suggest_categorical(name, list(grid_values(axis)))
        return
    high: Any = grid_values(axis)[-1] if axis.step else axis.high  # an end that the steps meet
    if FIELDS[name].annotation in (int, int | None):
        trial.suggest_int(name, int(axis.low), int(high), log=axis.log, step=int(axis.step or 1))
    else:
        trial.suggest_float(name, axis.low, high, log=axis.log, step=axis.step)


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
    found: list[tuple[float, float]] = []
    E, right, count = 0.0, 0.0, 0
    for run in Group(path).runs if Group(path).exists else []:
        records = RunFolder(run).records()
        if not records or records[-1]["kind"] != "end":
            break
        num, last = records[0]["num_images"]["val"], records[-2]["val"]
        E, right, count = E + num * last["E"], right + num * last["accuracy"], count + num
        found.append((E / count, right / count))
    return found


def num_steps(settings: Settings) -> int:
    """Return how often a trial is compared with others: after each epoch, or each fold."""
    return settings.data.folds or 0 if has_folds(settings) else settings.train.epochs
