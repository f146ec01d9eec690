"""What came of a sweep: its trials as rows, which settings mattered, the best with its interval."""

import csv
import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from crossent.config import to_yaml
from crossent.evaluation.compare import Side, paired_bootstrap
from crossent.evaluation.intervals import Interval
from crossent.evaluation.scores import Scores, score
from crossent.evaluation.table import align
from crossent.experiments.measured import measure_side
from crossent.experiments.space import Range, Sweep
from crossent.experiments.study import Trials
from crossent.experiments.sweep import (
    REASON,
    Point,
    has_folds,
    num_steps,
    points,
    settings_of,
    trial_path,
    value_of,
)
from crossent.files import write_text

STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
MIN_DONE = 8  # trials, for a word on which settings matter
MAX_RIVALS = 4  # compared with the best, picture by picture
EDGE = 0.03  # of a range
MAX_ROWS = 10  # of the table on a terminal


@dataclass(frozen=True)
class Row:
    """A trial. E and accuracy are those it is judged by, or the last ones that it came to."""

    name: str
    state: str
    point: Point | None
    steps: str
    params: dict[str, Any]
    reason: str = ""

    @property
    def result(self) -> str:
        """In a few words."""
        if self.state == "done" and self.point:
            return f"{self.point.E:.4f}"
        return f"{self.state}: {self.reason}" if self.reason else self.state


@dataclass(frozen=True)
class Results:
    """All of it. Rows are in the order of the trials; `ranked` are those that were done.

    Args:
        importance: of each setting, its share; empty where too few trials are done.
        best: the scores of the first of `ranked`.
        rivals: how much higher E is for the next ones, picture by picture, by name.
    """

    sweep: Sweep
    folder: Path
    rows: list[Row]
    importance: dict[str, float]
    best: Scores | None
    rivals: dict[str, Interval]

    @property
    def ranked(self) -> list[Row]:
        done = [row for row in self.rows if row.state == "done" and row.point]
        return sorted(done, key=lambda row: row.point.E if row.point else 0.0)

    @property
    def command(self) -> str:
        """Trains the best anew."""
        words = "data.folds=null " if has_folds(self.sweep.settings) else ""
        best = self.folder / "best.yaml"
        return f"python train.py -c {best} {words}--out runs/{self.folder.resolve().name}-best"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """For the heads of columns: without the section where that is clear."""
    short = [name.rpartition(".")[2] for name in names]
    return {n: s if short.count(s) == 1 else n for n, s in zip(names, short, strict=True)}


def collect(trials: Trials, device: torch.device) -> Results:
    """Look at all trials, and measure the best ones again.

    Raises:
        UserError: the pictures have changed since.
    """
    sweep, folder = trials.sweep, trials.folder
    rows = [row_of(trial, sweep, folder) for trial in trials.all]
    found = Results(sweep, folder, rows, importance_of(trials.study), None, {})
    sides = []
    for row in found.ranked[: 1 + MAX_RIVALS]:
        measured = measure_side(folder / row.name, row.name, None, device)
        sides.append(Side(row.name, [run.outputs for run in measured]))
    if not sides:
        return found
    best, *others = sides
    rivals = {side.name: paired_bootstrap(best.losses, side.losses) for side in others}
    return Results(sweep, folder, rows, found.importance, score(best.runs[0]), rivals)


def row_of(trial: FrozenTrial, sweep: Sweep, folder: Path) -> Row:
    settings, path = settings_of(sweep, trial.params), trial_path(folder, trial.number)
    found = points(path, settings)
    is_done = trial.state == TrialState.COMPLETE
    point = None if not found else value_of(found, settings) if is_done else found[-1]
    steps = f"{found[-1].step if found else 0}/{num_steps(settings)}"
    reason = trial.user_attrs.get(REASON, "")
    return Row(path.name, STATES[trial.state], point, steps, trial.params, reason)


def importance_of(study: optuna.Study) -> dict[str, float]:
    """How much each setting decides whether a trial is among the better ones; shares of 1.

    Source: Watanabe, Bansal & Hutter 2023, "PED-ANOVA: efficiently quantifying hyperparameter
    importance in arbitrary subspaces".
    """
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < MIN_DONE or len({trial.value for trial in done}) == 1:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items() if np.isfinite(share)}


def write_files(results: Results) -> None:
    """trials.csv, best.yaml and sweep.html."""
    from crossent.report.sweep import write_page

    folder = results.folder
    write_text(folder / "trials.csv", as_csv(results))
    if results.ranked:
        settings = settings_of(results.sweep, results.ranked[0].params)
        write_text(folder / "best.yaml", to_yaml(settings))
    write_page(folder / "sweep.html", results)


def as_csv(results: Results) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "E", "accuracy", "steps", *results.sweep.space, "reason"])
    for row in results.rows:
        numbers = [row.point.E, row.point.accuracy] if row.point else ["", ""]
        params = [row.params.get(name, "") for name in results.sweep.space]
        writer.writerow([row.name, row.state, *numbers, row.steps, *params, row.reason])
    return text.getvalue()


def as_text(results: Results) -> str:
    """What a terminal shows at the end."""
    parts = [counts(results), ranking(results)]
    if results.importance:
        lines = [[name, f"{share:.0%}"] for name, share in results.importance.items()]
        parts.append("What decided:\n" + align(lines))
    if results.best:
        row, scores = results.ranked[0], results.best
        parts.append(
            f"best: {row.name}, E = {scores.E.text('.4f')}, "
            f"accuracy {scores.accuracy.text('.1%')}. In brackets: 95 % intervals\n"
            + "\n".join([rivalry(results), *edges(results), CAUTION])
            + f"\ntrain it: {results.command}"
        )
    return "\n\n".join(parts)


CAUTION = (
    "It was chosen by these very pictures, so that its numbers are a little too good: "
    "measure it on others"
)


def counts(results: Results) -> str:
    states = [row.state for row in results.rows]
    words = [f"{states.count(state)} {state}" for state in STATES.values() if state in states]
    return f"{len(states)} of {results.sweep.num_trials} trials: {', '.join(words)}"


def ranking(results: Results) -> str:
    names = short_names(list(results.sweep.space))
    rows = [["trial", "E", "accuracy", "steps", *names.values()]]
    for row in results.ranked[:MAX_ROWS]:
        assert row.point
        params = [shown(row.params.get(name)) for name in names]
        rows.append([row.name, row.result, f"{row.point.accuracy:.1%}", row.steps, *params])
    return align(rows) if results.ranked else "no trial is done"


def rivalry(results: Results) -> str:
    """Whether the best can be told from the next ones."""
    equal = [name for name, difference in results.rivals.items() if difference.low <= 0]
    if not results.rivals:
        return "it has no rival yet"
    if not equal:
        return f"better than the next, picture by picture: {', '.join(results.rivals)}"
    return f"not distinguishable from it, picture by picture: {', '.join(equal)}"


def edges(results: Results) -> list[str]:
    """Of the best, the settings at an end of their range: a better value may lie beyond it."""
    found: list[str] = []
    if not results.ranked:
        return found
    best = results.ranked[0].params
    for name, axis in results.sweep.space.items():
        if isinstance(axis, Range):
            scale = math.log if axis.log else float
            low, value, high = map(scale, (axis.low, best[name], axis.high))
            share = (value - low) / (high - low)
            if not EDGE < share < 1 - EDGE:
                end = "low" if share < 0.5 else "high"
                found.append(f"{name} is at the {end} end of its range: try beyond it")
    return found


def shown(value: Any) -> str:
    """A value of a setting in few characters."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
