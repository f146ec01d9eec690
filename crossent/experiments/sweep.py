"""A sweep: many runs with different settings, to find those with the smallest E on validation.

SWEEP/sweep.yaml   what is tried          SWEEP/trial-001, ...   ordinary run folders, or groups
SWEEP/study.db     optuna's storage       SWEEP/trials.csv, best.yaml, *.png   the results
"""

import gc
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import datetime
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from crossent.build import make_data
from crossent.config import FIELDS, Loaded
from crossent.errors import EXIT_DONE, UserError
from crossent.experiments.group import SUMMARY, Group, has_folds, train_group, wants_group
from crossent.experiments.space import Sweep, load_sweep
from crossent.experiments.trials import ended, in_words, last_tries, report_trials, settings_of
from crossent.files import write_text
from crossent.pretrained import follow_weights
from crossent.train_run import Caller, train_run
from crossent.training.run import Pruned
from crossent.training.run_folder import RunFolder, read_json
from crossent.training.signals import Interrupted

CONFIG = "sweep.yaml"
MAX_RETRIES = 4  # of a trial whose process was killed, or stopped


def sweep(config: Path, resume: Path | None, overrides: Sequence[str], out: Path | None) -> int:
    """Begin a sweep, or go on with the one in the folder `resume`; return the exit status."""
    if resume is None:
        folder = out or Path("runs") / f"{config.stem}-sweep-{datetime.now():%Y%m%d-%H%M%S}"
        if any((folder / file).exists() for file in (CONFIG, "config.yaml", "group.json")):
            raise UserError(f"{folder} is used already: sweep --resume {folder}, or another --out")
        found = load_sweep(str(config), overrides)
    else:
        folder = resume
        if not (folder / CONFIG).is_file():
            raise UserError(f"{folder} holds no sweep: it has no {CONFIG}")
        wrong = [word for word in overrides if not word.startswith("sweep.trials=")]
        if wrong or out:
            words = "a sweep goes on with its own settings and folder; only sweep.trials may differ"
            raise UserError(f"{folder}: {words}: leave out {' '.join(wrong) or '--out'}")
        found = load_sweep(str(folder / CONFIG), overrides)
    wants_group(None, found.settings, None)
    return run_sweep(folder, found)


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
        raise UserError(f"no trial of {folder} was completed; trials.csv says why")
    return EXIT_DONE


def open_study(folder: Path, sweep: Sweep) -> optuna.Study:
    """Open the study in the folder, or create it; trials of a dead process are tried once more."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    # the median, the usual choice, would leave few: the others get better
    first_epoch = max(1, sweep.settings.train.epochs // 3)
    study = optuna.create_study(
        study_name="sweep",
        storage=f"sqlite:///{folder.resolve() / 'study.db'}",
        load_if_exists=True,
        pruner=optuna.pruners.PercentilePruner(75.0, n_warmup_steps=first_epoch),
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
        match axis:
            case CategoricalDistribution():
                trial.suggest_categorical(setting, axis.choices)
            case IntDistribution():
                trial.suggest_int(setting, axis.low, axis.high, log=axis.log)
            case FloatDistribution():
                trial.suggest_float(setting, axis.low, axis.high, log=axis.log)
    name = trial.user_attrs.get("folder") or f"trial-{len(last_tries(trial.study)) + 1:03}"
    trial.set_user_attr("folder", name)
    try:
        val = train(folder / name, sweep, caller, trial)
    except Pruned:
        raise optuna.TrialPruned from None
    except Exception as error:
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        trial.set_user_attr("reason", f"{kind}{error}".partition("\n")[0])
        raise
    trial.set_user_attr("accuracy", val["accuracy"])
    return val["E"]


def train(path: Path, sweep: Sweep, caller: Caller, trial: optuna.Trial) -> dict[str, float]:
    """Train what is missing of a run, or of its folds; return E and accuracy on validation."""
    settings = follow_weights(settings_of(sweep, trial.params))

    def watch(record: dict[str, Any]) -> None:
        trial.report(record["val"]["E"], record["epoch"])
        trial.set_user_attr("accuracy", record["val"]["accuracy"])
        is_last = record["epoch"] == settings.train.epochs
        if sweep.plan.prune and not is_last and trial.should_prune():
            raise Pruned

    if has_folds(settings):
        with redirect_stdout(StringIO()):  # a sweep prints one line per trial
            status = train_group(settings, path, Group(path).exists, None, caller)
    else:
        origins = dict.fromkeys(FIELDS, CONFIG) | dict.fromkeys(trial.params, path.name)
        is_old, watched = RunFolder(path).config.exists(), replace(caller, watch=watch)
        status = train_run(Loaded(settings, origins), path, is_old, watched).status
    if status > 128:
        raise Interrupted(status - 128)
    if status != EXIT_DONE:
        raise UserError("a number was not finite")
    if has_folds(settings):  # of all pictures, each predicted by the model trained without it
        summary = read_json(path / SUMMARY)
        return {name: summary[name]["value"] for name in ("E", "accuracy")}
    vals = [r["val"] for r in RunFolder(path).records() if r["kind"] == "epoch"]
    return vals[-1] if settings.train.keep == "last" else min(vals, key=lambda val: val["E"])
