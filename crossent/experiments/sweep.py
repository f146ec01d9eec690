"""A sweep: many runs with different settings, to find those with the smallest E on validation.

SWEEP/sweep.yaml   settings to try        SWEEP/trial-001, ...   ordinary run folders
SWEEP/study.db     optuna's storage       SWEEP/trials.csv, best.yaml, *.png   the results

Its config has two more sections:

sweep: {strategy: tpe, trials: 30}
space: {optim: {lr: {low: 0.01, high: 0.3, log: true}}, train: {mixup: [0.0, 0.4, 1.0]}}
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
from typing import Any, Literal

import matplotlib
import optuna
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots

from crossent.build import make_data
from crossent.config import FIELDS, Settings, format_value, load, to_yaml, with_values
from crossent.config.settings import SECTIONS, Section, nested, setting
from crossent.errors import EXIT_DONE, UserError
from crossent.evaluation.measure import align
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
# These change the validation pictures, so trials that differ in them could not be compared.
FIXED = {
    "data.source", "data.root", "data.labels", "data.group", "data.num_images",
    "data.val_fraction", "data.folds", "data.fold", "data.seed",
}  # fmt: skip
SECTIONS_OF_SWEEP = (*SECTIONS, "sweep", "space", *(f"space.{section}" for section in SECTIONS))


class SweepSettings(Section):
    strategy: Literal["grid", "random", "tpe"] = setting("tpe", "tpe: near the best trials so far")
    trials: int | None = setting(None, "null: all of a grid, else 20", ge=1, le=100_000)
    seed: int = setting(0, "seed of the values that are tried", ge=0, le=2**32 - 1)
    prune: bool = setting(True, "stop a trial worse than three of four complete ones at its epoch")


class Sweep(Settings):
    """The settings that all trials share, and the values to try: lists or ranges by dotted name."""

    sweep: SweepSettings = SweepSettings()
    space: dict[str, Any] = setting({}, "the values to try")

    @property
    def num_trials(self) -> int:
        if self.sweep.strategy != "grid":
            return self.sweep.trials or 20
        size = math.prod(map(len, self.space.values()))
        return min(self.sweep.trials or size, size)

    def to_yaml(self) -> str:
        """Return YAML from which `load_sweep` reads the same sweep."""
        return to_yaml(self.model_copy(update={"space": nested(self.space)}))

    def settings_of(self, params: dict[str, Any]) -> Settings:
        """Return the settings of a trial; the split stays the same when `seed` is tried."""
        shared = Settings(**self.model_dump(exclude={"sweep", "space"}))
        return with_values(shared, {"data.seed": self.data_seed, **params})


def load_sweep(path: str, overrides: Sequence[str] = ()) -> Sweep:
    """Read and check a sweep as `load_settings` does a config, and report all mistakes at once."""
    mistakes: list[str] = []
    given = load.read_files(path, mistakes, SECTIONS_OF_SWEEP)
    axes = {n.removeprefix("space."): given.pop(n) for n in list(given) if n.startswith("space.")}
    if not axes and (given or not mistakes):
        origin = given.pop("space", load.Given(None, f"{path}:1", 0)).origin
        mistakes.append(f"{origin}: a sweep needs a section space: the values to try")
    load.add_arguments(given, overrides, mistakes)
    found = load.check(Sweep, given, mistakes)
    if found.data.folds:
        words = "a trial trains one split: leave out data.folds, and run data.folds=5 afterwards"
        mistakes.append(f"{given['data.folds'].origin}: {words}")
    space = {}
    for name, axis in axes.items():
        if axis.rank == max(other.rank for other in axes.values()):  # no values to try of a base
            space[name] = axis.value
            if problem := check_axis(name, axis.value, found.sweep.strategy == "grid"):
                mistakes.append(f"{axis.origin}: {problem}")
    if mistakes:
        raise UserError("\n".join(mistakes))
    return found.model_copy(update={"space": space})


def check_axis(name: str, axis: Any, is_grid: bool) -> str:
    """Return why a setting cannot be tried with these values, or ""."""
    if name not in FIELDS:
        return load.unknown_name(name, list(FIELDS))
    if name in FIXED:
        return f"{name} cannot be tried: trials are compared on the same pictures"
    match axis:
        case [*values] if values and not any(isinstance(value, list | dict) for value in values):
            pass
        case {"low": low, "high": high, **more} if more.keys() <= {"log"} and not is_grid:
            values = [low, high]
        case _:
            form = "" if is_grid else ", or a range such as {low: 0.01, high: 0.3, log: true}"
            return f"{name} must be a list of words or numbers{form}; got {axis!r}"
    wrong: list[str] = []
    for value in values:
        load.check(Settings, {name: load.Given(value, "", 0)}, wrong)
    if wrong:
        return wrong[0].removeprefix(": ")
    try:
        suggest(optuna.trial.FixedTrial({name: values[0]}), name, axis)
    except (TypeError, ValueError) as error:
        return f"{name}: {error}"
    return ""


def suggest(trial: optuna.trial.BaseTrial, name: str, axis: Any) -> None:
    """Let optuna choose the value of a setting for a trial."""
    if isinstance(axis, list):
        trial.suggest_categorical(name, axis)
    elif FIELDS[name].annotation in (int, int | None):
        trial.suggest_int(name, **axis)
    else:
        trial.suggest_float(name, **axis)


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
            study.optimize(
                partial(train_trial, folder, plan, caller),
                n_trials=plan.num_trials - len(ended(study)),
                catch=(Exception,),  # a trial that fails does not end the sweep
                callbacks=[tell],
                gc_after_trial=True,  # frees the memory of a trial that ran out of memory
            )
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


def tell(study: optuna.Study, trial: FrozenTrial) -> None:
    print("  ".join(f"{n}={format_short(v)}" for n, v in row_of(trial).items()), flush=True)


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
    study = optuna.create_study(
        study_name="sweep",
        storage=f"sqlite:///{folder.resolve() / 'study.db'}",
        load_if_exists=True,
        pruner=optuna.pruners.PercentilePruner(75.0, n_warmup_steps=max(1, plan.train.epochs // 3)),
    )
    try_again = optuna.storages.RetryHeartbeatStaleTrialCallback(MAX_RETRIES)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        try_again(study, trial)  # in its old folder, from its checkpoint
    seed = (plan.sweep.seed + len(study.trials)) % 2**32  # a resumed sweep tries new values
    samplers = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}
    if plan.sweep.strategy == "grid":
        study.sampler = optuna.samplers.GridSampler(plan.space, plan.sweep.seed)
    else:
        study.sampler = samplers[plan.sweep.strategy](seed=seed)
    return study


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
    val = min((r["val"] for r in run.records() if r["kind"] == "epoch"), key=lambda val: val["E"])
    trial.set_user_attr("accuracy", val["accuracy"])
    return float(val["E"])


def report_trials(study: optuna.Study, folder: Path, plan: Sweep) -> str:
    """Write trials.csv, best.yaml and the plots, and return the table for a terminal."""
    order = list(STATES)
    trials = sorted(ended(study), key=lambda t: (order.index(t.state), t.value or 0.0))
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
    names = ["trials.csv", *(draw(study, folder) if len(done) >= MIN_DONE else [])]
    parts.append(
        f"see {', '.join(str(folder / name) for name in names)}\n"
        f"or: pip install optuna-dashboard; optuna-dashboard sqlite:///{folder / 'study.db'}"
    )
    return "\n\n".join(parts)


def draw(study: optuna.Study, folder: Path) -> list[str]:
    """Draw optuna's plots; return their names."""
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
