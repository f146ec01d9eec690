"""A sweep: many runs with different settings, to find those with the smallest E on validation.

SWEEP/sweep.yaml   settings to try        SWEEP/trial-001, ...   ordinary run folders
SWEEP/study.db     optuna's storage       SWEEP/trials.csv, best.yaml, *.png   the results
"""

import csv
import io
import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots

from crossent.build import make_data
from crossent.config import format_value, to_yaml
from crossent.errors import EXIT_DONE, UserError
from crossent.evaluation.measure import align
from crossent.experiments.space import Sweep, load_sweep, suggest
from crossent.files import write_atomic, write_text
from crossent.pretrained import follow_weights
from crossent.train_run import Caller, train_run
from crossent.training.run import Pruned
from crossent.training.run_folder import RunFolder, check_unused
from crossent.training.signals import Interrupted

CONFIG = "sweep.yaml"
MAX_RETRIES = 4  # of a trial whose process was killed or stopped
STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
MIN_DONE = 8  # trials, for plots
MAX_ROWS = 10  # of the table on a terminal
MAX_COMPARED = 5  # trials


def sweep(config: Path, resume: Path | None, overrides: Sequence[str], out: Path | None) -> int:
    """Start a sweep, or resume the one in the folder `resume`; return the exit status."""
    folder = resume or out or Path("runs") / f"{config.stem}-sweep-{datetime.now():%Y%m%d-%H%M%S}"
    if resume:
        if not (folder / CONFIG).is_file():
            raise UserError(f"{folder} is not a sweep folder: it has no {CONFIG}")
        wrong = [word for word in overrides if not word.startswith("sweep.trials=")]
        wrong += ["--out"] if out else []
        if wrong:
            raise UserError(f"--resume can change only sweep.trials: leave out {' '.join(wrong)}")
    else:
        check_unused(folder)
    plan = load_sweep(str(folder / CONFIG if resume else config), overrides)
    if plan.data.source != "drawings":
        make_data(plan)  # shows mistakes in the pictures, and fills the cache
    caller = Caller(f"python -m crossent sweep --resume {folder}", silent=True)
    with RunFolder(folder).in_use():
        write_text(folder / CONFIG, plan.to_yaml())
        try:
            caller.stop.install()
            study = open_study(folder, plan)
            train_trials(study, folder, plan, caller)
            with caller.stop.raising():
                print(report_trials(study, folder, plan))
        except Interrupted as interrupted:
            print(f"{interrupted}: everything is saved; resume with: {caller.resume_command}")
            return interrupted.exit_status
    if not any(trial.state == TrialState.COMPLETE for trial in ended(study)):
        raise UserError(f"no trial of {folder} was completed; trials.csv says why")
    return EXIT_DONE


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that are completed, pruned or failed.

    Each retry is a new trial for optuna; the last one in a folder counts.
    """
    trials = study.get_trials(deepcopy=False)
    last_tries = {t.user_attrs["folder"]: t for t in trials if "folder" in t.user_attrs}
    return [trial for trial in last_tries.values() if trial.state in STATES]


def row_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return the result and the values of a trial, as a row of trials.csv."""
    row = {"trial": trial.user_attrs["folder"], "state": STATES[trial.state], "E": trial.value}
    row |= {"accuracy": trial.user_attrs.get("accuracy"), "epoch": trial.last_step, **trial.params}
    if trial.state == TrialState.FAIL:
        row["reason"] = trial.user_attrs.get("reason", "its process was killed repeatedly")
    return row


def format_short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else format_value(value)


def open_study(folder: Path, plan: Sweep) -> optuna.Study:
    """Open the study in the folder, or create it; repeat the trials of a dead process."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    # optuna's usual limit, the median, would stop most trials: only complete trials count for it,
    # and those are the better ones.
    first_epoch = max(1, plan.train.epochs // 3)
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
    seed = (plan.sweep.seed + len(study.trials)) % 2**32  # a resumed sweep tries new values
    match plan.sweep.strategy:
        case "grid":
            study.sampler = optuna.samplers.GridSampler(plan.space, plan.sweep.seed)
        case "random":
            study.sampler = optuna.samplers.RandomSampler(seed)
        case "tpe":
            study.sampler = optuna.samplers.TPESampler(seed=seed)
    return study


def train_trials(study: optuna.Study, folder: Path, plan: Sweep, caller: Caller) -> None:
    """Train the missing trials one after the other; a trial that fails does not end the sweep."""

    def tell(study: optuna.Study, trial: FrozenTrial) -> None:
        print("  ".join(f"{n}={format_short(v)}" for n, v in row_of(trial).items()), flush=True)

    study.optimize(
        partial(train_trial, folder, plan, caller),
        n_trials=plan.num_trials - len(ended(study)),
        catch=(Exception,),
        callbacks=[tell],
        gc_after_trial=True,  # frees the memory of a trial that ran out of memory
    )


def train_trial(folder: Path, plan: Sweep, caller: Caller, trial: optuna.Trial) -> float:
    """Train or resume a trial; return E on validation of the model that is kept."""
    for name, axis in plan.space.items():
        suggest(trial, name, axis)
    run = RunFolder(folder / trial.user_attrs.get("folder", f"trial-{trial.number + 1:03}"))
    trial.set_user_attr("folder", run.path.name)

    def watch(record: dict[str, Any]) -> None:
        trial.report(record["val"]["E"], record["epoch"])
        trial.set_user_attr("accuracy", record["val"]["accuracy"])
        is_last = record["epoch"] == settings.train.epochs
        if plan.sweep.prune and not is_last and trial.should_prune():
            raise Pruned

    try:
        settings = follow_weights(plan.settings_of(trial.params))
        caller = replace(caller, watch=watch)
        status = train_run(settings, run.path, run.config.exists(), caller)[0]
        if status > 128:
            raise Interrupted(status - 128)
        if status != EXIT_DONE:
            raise UserError("a number was not finite")
    except Pruned:
        raise optuna.TrialPruned from None
    except Exception as error:
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        trial.set_user_attr("reason", f"{kind}{error}".partition("\n")[0])
        raise
    vals = [r["val"] for r in run.records() if r["kind"] == "epoch"]
    val = min(vals, key=lambda val: val["E"])
    trial.set_user_attr("accuracy", val["accuracy"])
    return float(val["E"])


def report_trials(study: optuna.Study, folder: Path, plan: Sweep) -> str:
    """Write trials.csv, best.yaml and the plots, and return the table for a terminal."""
    best = sorted(ended(study), key=lambda t: math.inf if t.value is None else t.value)
    trials = sorted(best, key=lambda t: list(STATES).index(t.state))
    rows = [row_of(trial) for trial in trials]
    header = ["trial", "state", "E", "accuracy", "epoch", *plan.space]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*header, "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "trials.csv", text.getvalue())
    states = ", ".join(f"{n} {state}" for state, n in Counter(r["state"] for r in rows).items())
    table = align([header, *([format_short(r[name]) for name in header] for r in rows[:MAX_ROWS])])
    parts = [f"{len(rows)} trials: {states}\n\n{table}"]
    done = [str(folder / row["trial"]) for row in rows if row["state"] == "done"]
    if done:
        write_text(folder / "best.yaml", to_yaml(plan.settings_of(trials[0].params)))
        parts.append(
            f"best: {rows[0]['trial']}. It was chosen on these pictures, so its numbers are "
            "too good: measure it on others\n"
            f"compare: python -m crossent compare {' '.join(done[:MAX_COMPARED])}\n"
            f"train the best: python train.py -c {folder / 'best.yaml'} "
            f"--out runs/{folder.resolve().name}-best"
        )
    parts.append(
        f"see {', '.join(str(folder / name) for name in ('trials.csv', *draw(study, folder)))}\n"
        f"or: pip install optuna-dashboard; optuna-dashboard sqlite:///{folder / 'study.db'}"
    )
    return "\n\n".join(parts)


def draw(study: optuna.Study, folder: Path) -> list[str]:
    """Draw optuna's plots if enough trials are done; return their names."""
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < MIN_DONE:
        return []
    matplotlib.use("agg")  # files only: no window, wherever this runs
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    axes = {
        "history.png": plots.plot_optimization_history(study, target_name="E"),
        "parallel-coordinates.png": plots.plot_parallel_coordinate(study, target_name="E"),
        "importances.png": plots.plot_param_importances(study, evaluator=evaluator),
    }
    for name, drawn in axes.items():
        figure: Any = drawn.get_figure(root=True)
        write_atomic(folder / name, partial(figure.savefig, format="png", bbox_inches="tight"))
    return list(axes)
