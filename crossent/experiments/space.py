"""A sweep from YAML: a config with two more sections, `sweep` and `space`.

sweep: {strategy: tpe, trials: 30}
space: {optim: {lr: {low: 0.01, high: 0.3, log: true}}, train: {mixup: [0.0, 0.4, 1.0]}}
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Any, Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from crossent.config import FIELDS, Settings, load, to_yaml, with_values
from crossent.config.load import Given
from crossent.config.settings import SECTIONS, Section, setting
from crossent.config.yaml_text import yaml_lines
from crossent.errors import UserError

# These decide which pictures validate or which epoch counts: trials could not be compared.
FIXED = {"data.source", "data.root", "data.num_images", "data.val_fraction", "data.on_bad"}
FIXED |= {"data.folds", "data.fold", "data.seed", "train.keep", "train.overfit_batch"}
FIXED |= {"train.minutes", "data.labels", "data.group"}
MAX_GRID = 10_000  # optuna holds all combinations in memory
RANGE = {"low", "high", "log"}
SPACE_SECTIONS = ("space", *(f"space.{section}" for section in SECTIONS))


class SweepSettings(Section):
    """How to go through a space."""

    strategy: Literal["grid", "random", "tpe"] = setting("tpe", "tpe: near what was good so far")
    trials: int | None = setting(None, "null: all of a grid, else 20", ge=1, le=100_000)
    seed: int = setting(0, "seed of what is tried", ge=0, le=2**32 - 1)
    prune: bool = setting(True, "stop a trial that is worse than most were at that epoch")


class SweepFile(Settings):
    """The settings of a run, and how to go through a space."""

    sweep: SweepSettings = SweepSettings()


@dataclass(frozen=True)
class Sweep:
    """The settings that all trials start from, and what to try, by dotted name."""

    settings: Settings
    plan: SweepSettings
    space: dict[str, BaseDistribution]

    @property
    def grid(self) -> dict[str, Sequence[Any]]:
        """The settings that have a list of values: all of them in a grid."""
        axes = self.space.items()
        return {name: a.choices for name, a in axes if isinstance(a, CategoricalDistribution)}

    @property
    def num_trials(self) -> int:
        if self.plan.strategy != "grid":
            return self.plan.trials or 20
        size = math.prod(map(len, self.grid.values()))
        return min(self.plan.trials or size, size)

    def to_yaml(self) -> str:
        """Return a text that `load_sweep` reads as the same sweep."""
        plan = yaml_lines({f"sweep.{key}": value for key, value in self.plan.model_dump().items()})
        axes = {
            name: self.grid.get(name) or {key: getattr(axis, key) for key in sorted(RANGE)}
            for name, axis in self.space.items()
        }
        return f"{to_yaml(self.settings)}{plan}space:\n{indent(yaml_lines(axes), '  ')}"


def load_sweep(path: str, overrides: Sequence[str] = ()) -> Sweep:
    """Read and check a sweep as `load_settings` does a config, and report all mistakes at once.

    Raises:
        UserError: one line per mistake, each with its file and line, or its argument.
    """
    mistakes: list[str] = []
    layers = load.file_layers(path, mistakes, (*SECTIONS, *SPACE_SECTIONS, "sweep"))
    if not layers:
        load.refuse(mistakes)
    given: load.Layer = {}
    of_space: load.Layer = {}
    for layer in layers:
        names = [name for name in layer if f"{name}.".startswith("space.")]
        own = {name.removeprefix("space."): layer.pop(name) for name in names}
        of_space = own or of_space
        given |= layer
    given |= load.argument_layer(overrides, mistakes)
    settings, wrong = load.check(SweepFile, given)
    settings = settings or SweepFile()
    sweep = Sweep(with_values(settings, {}), settings.sweep, {})
    mistakes += wrong
    is_grid = sweep.plan.strategy == "grid"
    origin = next((axis.origin for axis in of_space.values()), f"{path}:1")
    if not of_space or "space" in of_space:
        load.refuse([*mistakes, f"{origin}: a sweep needs a section space: what to try"])
    for name, axis in of_space.items():
        try:
            sweep.space[name] = read_axis(name, axis.value, is_grid)
        except UserError as error:
            mistakes.append(f"{axis.origin}: {error}")
    if is_grid and math.prod(map(len, sweep.grid.values())) > MAX_GRID:
        mistakes.append(f"{origin}: the grid has more than {MAX_GRID:,} combinations")
    load.refuse(mistakes)
    return sweep


def read_axis(name: str, value: Any, is_grid: bool) -> BaseDistribution:
    """Read what to try of one setting; raise UserError if it cannot be tried."""
    if name not in FIELDS:
        raise UserError(load.unknown_name(name, tuple(FIELDS)))
    if name in FIXED:
        raise UserError(f"{name} cannot be tried: trials are compared on the same pictures")
    is_range = isinstance(value, dict) and RANGE - {"log"} <= value.keys() <= RANGE
    is_list = isinstance(value, list) and value != []
    is_list = is_list and not any(isinstance(v, list | dict) for v in value)
    if not (is_range or is_list):
        words = "a list of words or numbers, or a range such as {low: 0.01, high: 0.3, log: true}"
        raise UserError(f"{name} must be {words}; got {value!r}")
    if is_range and is_grid:
        raise UserError(f"{name}: a grid needs a list of values")
    for v in [value["low"], value["high"]] if is_range else value:
        wrong = load.check(Settings, {name: Given(v, "")})[1]
        if wrong:
            raise UserError(wrong[0].removeprefix(": "))
    if is_list:
        return CategoricalDistribution(value)
    is_int = FIELDS[name].annotation in (int, int | None)
    try:
        return IntDistribution(**value) if is_int else FloatDistribution(**value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: {error}") from None
