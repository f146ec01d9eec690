"""The results of a sweep: trials.csv, best.yaml, optuna's plots, and the table at the end."""

import csv
import io
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from crossent.config import Settings, to_yaml, with_values
from crossent.evaluation.compare import Side, paired_bootstrap
from crossent.evaluation.scores import score
from crossent.evaluation.table import align
from crossent.experiments.compare import measure_side
from crossent.experiments.group import has_folds
from crossent.experiments.space import Sweep
from crossent.files import write_atomic, write_text

STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
KILLED = "its process was killed, again and again"
MIN_DONE = 8  # trials, for plots
MAX_RIVALS = 4  # compared with the best, picture by picture
MAX_ROWS = 10  # of the table on a terminal


def settings_of(sweep: Sweep, params: dict[str, Any]) -> Settings:
    """Return the settings of a trial. The split stays what it is, whichever seed is tried."""
    return with_values(sweep.settings, {"data.seed": sweep.settings.data_seed, **params})


def attempts(study: optuna.Study) -> dict[str, list[FrozenTrial]]:
    """Return by folder optuna's trials: all but the last were killed or stopped."""
    found: dict[str, list[FrozenTrial]] = {}
    for trial in study.get_trials(deepcopy=False):
        if "folder" in trial.user_attrs:
            found.setdefault(trial.user_attrs["folder"], []).append(trial)
    return found


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that came to some end."""
    return [tries[-1] for tries in attempts(study).values() if tries[-1].state in STATES]


def in_words(trial: FrozenTrial) -> str:
    """Return in a line what came of a trial, and what it tried."""
    if trial.value is None:
        result = f"failed: {trial.user_attrs.get('reason', KILLED)}"
    else:
        result = f"E = {trial.value:.4f}, accuracy {trial.user_attrs['accuracy']:.1%}"
    if trial.state == TrialState.PRUNED:
        result += f", pruned at step {trial.last_step}"
    return f"{result:<40}  " + " ".join(f"{k}={shown(v)}" for k, v in trial.params.items())


def report_trials(study: optuna.Study, folder: Path, sweep: Sweep, device: torch.device) -> str:
    """Write trials.csv, best.yaml and the plots, and return the table for a terminal.

    Raises:
        UserError: the pictures have changed since.
    """
    trials = ended(study)
    write_text(folder / "trials.csv", as_csv(trials, list(sweep.space)))
    states = [STATES[trial.state] for trial in trials]
    counts = ", ".join(f"{states.count(s)} {s}" for s in STATES.values() if s in states)
    parts = [f"{len(trials)} of {sweep.num_trials} trials: {counts}"]
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    done.sort(key=lambda trial: trial.value or 0.0)
    if done:
        write_text(folder / "best.yaml", to_yaml(settings_of(sweep, done[0].params)))
        parts += [ranking(done[:MAX_ROWS], list(sweep.space)), judge(done, folder, sweep, device)]
    see = ["trials.csv", *draw(study, folder)]
    parts.append(
        f"see {', '.join(str(folder / name) for name in see)}\n"
        f"or: pip install optuna-dashboard; optuna-dashboard sqlite:///{folder / 'study.db'}"
    )
    return "\n\n".join(parts)


def as_csv(trials: Sequence[FrozenTrial], names: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "E", "accuracy", "steps", *names, "reason"])
    for trial in trials:
        known, params = trial.user_attrs, [trial.params.get(name, "") for name in names]
        numbers = [trial.value, known.get("accuracy"), trial.last_step or 0]
        reason = known.get("reason", KILLED) if trial.state == TrialState.FAIL else ""
        writer.writerow([known["folder"], STATES[trial.state], *numbers, *params, reason])
    return text.getvalue()


def ranking(done: Sequence[FrozenTrial], names: Sequence[str]) -> str:
    """Return a row per trial, for those with the smallest E."""
    rows = [["trial", "E", "accuracy", *names]]
    for trial in done:
        numbers = [f"{trial.value:.4f}", f"{trial.user_attrs['accuracy']:.1%}"]
        params = [shown(trial.params[name]) for name in names]
        rows.append([trial.user_attrs["folder"], *numbers, *params])
    return align(rows)


def judge(done: Sequence[FrozenTrial], folder: Path, sweep: Sweep, device: torch.device) -> str:
    """Measure the best trial again, and which of the next can be told from it."""
    sides = []
    for trial in done[: 1 + MAX_RIVALS]:
        name = trial.user_attrs["folder"]
        runs = measure_side(folder / name, name, None, device)
        sides.append(Side(name, [run.outputs for run in runs]))
    best, *rivals = sides
    scores = score(best.runs[0])
    equal = [r.name for r in rivals if paired_bootstrap(best.losses, r.losses).low <= 0]
    words = "data.folds=null " if has_folds(sweep.settings) else ""
    lines = [
        f"best: {best.name}, E = {scores.E.text('.4f')}, accuracy {scores.accuracy.text('.1%')}. "
        "In brackets: 95 % intervals",
        f"not distinguishable from it, picture by picture: {', '.join(equal) or 'none'}",
        "It was chosen by these very pictures, so its numbers are a little too good: measure it on "
        "others",
        f"train it: python train.py -c {folder / 'best.yaml'} {words}"
        f"--out runs/{folder.resolve().name}-best",
    ]
    return "\n".join(lines)


def draw(study: optuna.Study, folder: Path) -> list[str]:
    """Draw optuna's plots, if there are enough trials to see something; return their names."""
    values = {t.value for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if len(values) < MIN_DONE:
        return []
    import matplotlib

    matplotlib.use("agg")  # files only: no window, wherever this runs
    from optuna.visualization import matplotlib as plots

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        axes = {
            "history.png": plots.plot_optimization_history(study, target_name="E"),
            "parallel-coordinates.png": plots.plot_parallel_coordinate(study, target_name="E"),
            "importances.png": plots.plot_param_importances(study, evaluator=evaluator),
        }
    for name, drawn in axes.items():
        figure = drawn.get_figure(root=True)
        assert figure is not None
        write_atomic(folder / name, partial(figure.savefig, format="png", bbox_inches="tight"))
    return list(axes)


def shown(value: Any) -> str:
    """Return a value of a setting in few characters."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return {None: "null", True: "true", False: "false"}.get(value, str(value))
