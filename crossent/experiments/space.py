"""A sweep from YAML: a config with two more sections, `sweep` and `space`.

sweep: {strategy: tpe, trials: 30}
space: {optim: {lr: {low: 0.01, high: 0.3, log: true}}, train: {mixup: [0.0, 0.4, 1.0]}}
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import optuna

from crossent.config import FIELDS, Settings, load, to_yaml, with_values
from crossent.config.load import Given
from crossent.config.settings import SECTIONS, Section, nested, setting
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
    names = [name for name in given if name.startswith("space.")]
    axes = {name.removeprefix("space."): given.pop(name) for name in names}
    if not axes and (given or not mistakes):
        origin = given.pop("space", Given(None, f"{path}:1", 0)).origin
        mistakes.append(f"{origin}: a sweep needs a section space: the values to try")
    load.add_arguments(given, overrides, mistakes)
    found = load.check(Sweep, given, mistakes)
    if found.data.folds:
        mistakes.append(
            f"{given['data.folds'].origin}: a trial trains one split: leave out data.folds, and "
            "run data.folds=5 with the best settings afterwards"
        )
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
        load.check(Settings, {name: Given(value, "", 0)}, wrong)
    if wrong:
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
