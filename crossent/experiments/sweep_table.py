"""What a person sees of a sweep under way: a line a trial, and on a terminal what it is doing."""

import sys
from typing import Any

from optuna.trial import FrozenTrial
from tqdm import tqdm

from crossent.experiments.results import Row, row_of, short_names, shown
from crossent.experiments.study import Trials
from crossent.experiments.sweep import Point

MIN_WIDTH = 9


class Table:
    """Prints to standard output; the bar under the lines goes to standard error and a terminal."""

    def __init__(self, trials: Trials) -> None:
        self.trials = trials
        self.names = short_names(list(trials.sweep.space))
        self.bar: tqdm[Any] = tqdm(
            total=trials.sweep.num_trials, unit="trial", leave=False, disable=None
        )

    def __enter__(self) -> "Table":
        self.line("trial", "E", "accuracy", "steps", list(self.names.values()))
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, number: int, point: Point) -> None:
        """What a trial under way has come to."""
        text = f"trial {number + 1}, step {point.step}: E = {point.E:.4f}"
        self.bar.set_postfix_str(text if self.best is None else f"{text}; best {self.best:.4f}")

    def ended(self, trial: FrozenTrial) -> None:
        """A line for it."""
        row = row_of(trial, self.trials.sweep, self.trials.folder)
        accuracy = f"{row.point.accuracy:.1%}" if row.point else "-"
        params = [shown(row.params.get(name)) for name in self.names]
        self.line(row.name, self.result(row), accuracy, row.steps, params)
        self.bar.n = len(self.trials.all)
        self.bar.refresh()

    def result(self, row: Row) -> str:
        is_best = row.state == "done" and row.point and row.point.E == self.best
        return row.result + (" *" if is_best else "")

    @property
    def best(self) -> float | None:
        return min((t.value for t in self.trials.all if t.value is not None), default=None)

    def line(self, trial: str, E: str, accuracy: str, steps: str, params: list[str]) -> None:
        widths = (max(MIN_WIDTH, len(name)) for name in self.names.values())
        cells = [f"{p:>{width}}" for p, width in zip(params, widths, strict=True)]
        tqdm.write("  ".join([f"{trial:<10}", f"{E:<9}", f"{accuracy:>8}", f"{steps:>7}", *cells]))
        sys.stdout.flush()
