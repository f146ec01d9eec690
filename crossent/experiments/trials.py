"""The results of a sweep: trials.csv, best.yaml, optuna's plots, and the table at the end."""

import csv
import io
import math
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots

from crossent.config import Settings, format_value, to_yaml, with_values
from crossent.device import choose_device
from crossent.evaluation.measure import align
from crossent.experiments.space import Sweep
from crossent.files import write_atomic, write_text

STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
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
    """Return the trials that ended in some way."""
    return [trial for trial in last_tries(study).values() if trial.state in STATES]


def row_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return how a trial ended and what it tried, as trials.csv has it."""
    row = {"trial": trial.user_attrs["folder"], "state": STATES[trial.state], "E": trial.value}
    row |= {"accuracy": trial.user_attrs.get("accuracy"), "epoch": trial.last_step, **trial.params}
    if trial.state == TrialState.FAIL:
        row["reason"] = trial.user_attrs.get("reason", "its process was killed, again and again")
    return row


def in_words(trial: FrozenTrial) -> str:
    """Return a trial as a line for a terminal."""
    return "  ".join(f"{name}={shown(value)}" for name, value in row_of(trial).items())


def shown(value: Any) -> str:
    """Return a value in few characters; a reason and a name are words already."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else format_value(value)


def report_trials(study: optuna.Study, folder: Path, sweep: Sweep) -> str:
    """Write trials.csv, best.yaml and the plots, and return the table for a terminal."""
    best = sorted(ended(study), key=lambda t: math.inf if t.value is None else t.value)
    trials = sorted(best, key=lambda t: list(STATES).index(t.state))
    rows = [row_of(trial) for trial in trials]
    header = ["trial", "state", "E", "accuracy", "epoch", *sweep.space]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*header, "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "trials.csv", text.getvalue())
    states = ", ".join(f"{n} {state}" for state, n in Counter(r["state"] for r in rows).items())
    table = align([header, *([shown(r[name]) for name in header] for r in rows[:MAX_ROWS])])
    parts = [f"{len(rows)} trials: {states}", table]
    done = [folder / row["trial"] for row in rows if row["state"] == "done"]
    if done:
        write_text(folder / "best.yaml", to_yaml(settings_of(sweep, trials[0].params)))
    if len(done) > 1:  # the import is here to keep the chains of imports short
        from crossent.experiments.compare import compare_runs

        device = choose_device(sweep.settings.train.device)
        parts.append(compare_runs(done[: 1 + MAX_RIVALS], None, device)[0])
    if done:
        parts.append(
            f"best: {done[0].name}. It was chosen by these very pictures, so its numbers are a "
            "little too good: measure it on others\n"
            f"train it: python train.py -c {folder / 'best.yaml'} "
            f"--out runs/{folder.resolve().name}-best"
        )
    files = [str(folder / name) for name in ("trials.csv", *draw(study, folder))]
    parts.append(
        f"see {', '.join(files)}\n"
        f"or: pip install optuna-dashboard; optuna-dashboard sqlite:///{folder / 'study.db'}"
    )
    return "\n\n".join(parts)


def draw(study: optuna.Study, folder: Path) -> list[str]:
    """Draw optuna's plots, if there are enough trials to see something; return their names."""
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
