"""The results of a sweep: trials.csv, best.yaml, optuna's plots, and the table at the end."""

import csv
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from crossent.config import Settings, format_value, to_yaml, with_values
from crossent.device import choose_device
from crossent.evaluation.compare import Side, paired_bootstrap
from crossent.evaluation.measure import align
from crossent.evaluation.scores import score
from crossent.experiments.group import has_folds, measure_side
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


def last_tries(study: optuna.Study) -> dict[str, FrozenTrial]:
    """Return optuna's trials by folder; of those that were tried again, the last."""
    trials = study.get_trials(deepcopy=False)
    return {t.user_attrs["folder"]: t for t in trials if "folder" in t.user_attrs}


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that came to some end."""
    return [trial for trial in last_tries(study).values() if trial.state in STATES]


def in_words(trial: FrozenTrial) -> str:
    """Return in a line what came of a trial, and what it tried."""
    if trial.value is None:
        result = f"failed: {trial.user_attrs.get('reason', KILLED)}"
    else:
        result = f"E = {trial.value:.4f}, accuracy {trial.user_attrs['accuracy']:.1%}"
    if trial.state == TrialState.PRUNED:
        result += f", pruned at step {trial.last_step}"
    params = " ".join(f"{name}={shown(value)}" for name, value in trial.params.items())
    return f"{trial.user_attrs['folder']}  {result:<40}  {params}"


def report_trials(study: optuna.Study, folder: Path, sweep: Sweep) -> str:
    """Write trials.csv, best.yaml and the plots, and return the table for a terminal."""
    trials = ended(study)
    write_csv(folder / "trials.csv", trials, list(sweep.space))
    states = [STATES[trial.state] for trial in trials]
    counts = ", ".join(f"{states.count(s)} {s}" for s in STATES.values() if s in states)
    parts = [f"{len(trials)} of {sweep.num_trials} trials: {counts}"]
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    done.sort(key=lambda trial: trial.value or 0.0)
    if done:
        write_text(folder / "best.yaml", to_yaml(settings_of(sweep, done[0].params)))
        rows = [["trial", "E", "accuracy", *sweep.space]]
        for trial in done[:MAX_ROWS]:
            numbers = [f"{trial.value:.4f}", f"{trial.user_attrs['accuracy']:.1%}"]
            params = [shown(trial.params[name]) for name in sweep.space]
            rows.append([trial.user_attrs["folder"], *numbers, *params])
        parts += [align(rows), judge(done, folder, sweep)]
    files = [str(folder / name) for name in ("trials.csv", *draw(study, folder))]
    parts.append(
        f"see {', '.join(files)}\n"
        f"or: pip install optuna-dashboard; optuna-dashboard sqlite:///{folder / 'study.db'}"
    )
    return "\n\n".join(parts)


def write_csv(path: Path, trials: Sequence[FrozenTrial], names: Sequence[str]) -> None:
    text = io.StringIO()
    header = ["trial", "state", "E", "accuracy", "steps", *names, "reason"]
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    for trial in trials:
        row: dict[str, Any] = {"trial": trial.user_attrs["folder"], "state": STATES[trial.state]}
        row |= {"E": trial.value, "accuracy": trial.user_attrs.get("accuracy")}
        row |= {"steps": trial.last_step or 0, **trial.params}
        if trial.value is None:
            row["reason"] = trial.user_attrs.get("reason", KILLED)
        writer.writerow(row)
    write_text(path, text.getvalue())


def judge(done: Sequence[FrozenTrial], folder: Path, sweep: Sweep) -> str:
    """Measure the best trial again, and which of the next can be told from it."""
    device, sides = choose_device(sweep.settings.train.device), []
    for trial in done[: 1 + MAX_RIVALS]:
        name = trial.user_attrs["folder"]
        runs = measure_side(folder / name, name, None, device)
        sides.append(Side(name, [run.outputs for run in runs]))
    best, *rivals = sides
    scores = score(best.runs[0])
    equal = [r.name for r in rivals if paired_bootstrap(best.losses, r.losses).low <= 0]
    words = "data.folds=null " if has_folds(sweep.settings) else ""
    return (
        f"best: {best.name}, E = {scores.E.text('.4f')}, accuracy {scores.accuracy.text('.1%')}. "
        "In brackets: 95 % intervals\n"
        f"not distinguishable from it, picture by picture: {', '.join(equal) or 'none'}\n"
        "It was chosen by these very pictures, so its numbers are a little too good: measure it on "
        "others\n"
        f"train it: python train.py -c {folder / 'best.yaml'} {words}"
        f"--out runs/{folder.resolve().name}-best"
    )


def draw(study: optuna.Study, folder: Path) -> list[str]:
    """Draw optuna's plots, if there are enough trials to see something; return their names."""
    values = {t.value for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if len(values) < MIN_DONE:
        return []
    import matplotlib

    matplotlib.use("agg")  # files only: no window, wherever this runs
    from optuna.visualization import matplotlib as plots

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


def shown(value: Any) -> str:
    """Return a value of a setting in few characters."""
    return f"{value:.3g}" if isinstance(value, float) else format_value(value)
