"""A sweep from YAML: a config with two more sections, `sweep` and `space`.

sweep: {strategy: tpe, trials: 30}
space: {optim: {lr: {low: 0.01, high: 0.3, log: true}}, train: {mixup: [0.0, 0.4, 1.0]}}
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Any, Literal

import optuna

from crossent.config import FIELDS, Settings, flat_values, load, to_yaml, with_values
from crossent.config.load import Given
from crossent.config.settings import SECTIONS, Section, setting
from crossent.errors import UserError

# These change the validation pictures, so trials that differ in them could not be compared.
FIXED = {
    "data.source", "data.root", "data.labels", "data.group", "data.num_images",
    "data.val_fraction", "data.folds", "data.fold", "data.seed",
}  # fmt: skip
SECTIONS_OF_SWEEP = (*SECTIONS, "sweep", "space", *(f"space.{section}" for section in SECTIONS))


class SweepSettings(Section):
    """The strategy and the length of a sweep."""

    strategy: Literal["grid", "random", "tpe"] = setting("tpe", "tpe: near the best trials so far")
    trials: int | None = setting(None, "null: all of a grid, else 20", ge=1, le=100_000)
    seed: int = setting(0, "seed of the values that are tried", ge=0, le=2**32 - 1)
    prune: bool = setting(True, "stop a trial worse than three of four complete ones at its epoch")


class SweepFile(Settings):
    """The settings of a run, and how to search a space."""

    sweep: SweepSettings = SweepSettings()


@dataclass(frozen=True)
class Sweep:
    """The settings that all trials share, and the values to try: lists or ranges by dotted name."""

    settings: Settings
    plan: SweepSettings
    space: dict[str, Any]

    @property
    def num_trials(self) -> int:
        if self.plan.strategy != "grid":
            return self.plan.trials or 20
        size = math.prod(map(len, self.space.values()))
        return min(self.plan.trials or size, size)

    def to_yaml(self) -> str:
        """Return YAML from which `load_sweep` reads the same sweep."""
        plan = {f"sweep.{key}": value for key, value in vars(self.plan).items()}
        space = indent(to_yaml(self.space), "  ")
        return f"{to_yaml(flat_values(self.settings) | plan)}space:\n{space}"


def load_sweep(path: str, overrides: Sequence[str] = ()) -> Sweep:
    """Read and check a sweep as `load_settings` does a config, and report all mistakes at once.

    Raises:
        UserError: one line per mistake, each with its file and line, or its argument.
    """
    mistakes: list[str] = []
    layers = load.file_layers(path, mistakes, SECTIONS_OF_SWEEP)
    axes: load.Layer = {}
    for layer in layers:
        names = [name for name in layer if name.partition(".")[0] == "space"]
        axes = {name.removeprefix("space."): layer.pop(name) for name in names} or axes
    no_section = axes.pop("space", Given(None, f"{path}:1"))
    if layers and not axes:
        mistakes.append(f"{no_section.origin}: a sweep needs a section space: the values to try")
    given = load.merge([*layers, load.argument_layer(overrides, mistakes)])
    found, wrong = load.check(SweepFile, given)
    found = found or SweepFile()
    if found.data.folds:
        wrong.append(
            f"{given['data.folds'].origin}: a trial trains one split: leave out data.folds, and "
            "run data.folds=5 with the best settings afterwards"
        )
    is_grid = found.sweep.strategy == "grid"
    for name, axis in axes.items():
        if problem := check_axis(name, axis.value, is_grid):
            wrong.append(f"{axis.origin}: {problem}")
    if mistakes or wrong:
        raise UserError("\n".join(mistakes + wrong))
    space = {name: axis.value for name, axis in axes.items()}
    return Sweep(with_values(found, {}), found.sweep, space)


def check_axis(name: str, axis: Any, is_grid: bool) -> str:
    """Return why a setting cannot be tried with these values, or ""."""
    if name not in FIELDS:
        return load.unknown_name(name, tuple(FIELDS))
    if name in FIXED:
        return f"{name} cannot be tried: trials are compared on the same pictures"
    match axis:
        case [*values] if values and not any(isinstance(value, list | dict) for value in values):
            pass
        case {"low": low, "high": high, **more} if more.keys() <= {"log"} and not is_grid:
            values = [low, high]
        case _:
            form = ", or a range such as {low: 0.01, high: 0.3, log: true}"
            form = "a list of words or numbers" + ("" if is_grid else form)
            return f"{name} must be {form}; got {axis!r}"
    for value in values:
        if wrong := load.check(Settings, {name: Given(value, "")})[1]:
            return wrong[0].removeprefix(": ")
    try:
        if isinstance(axis, dict):
            suggest(optuna.trial.FixedTrial({name: axis["low"]}), name, axis)
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
