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
from crossent.config.yaml_text import Lined, yaml_lines
from crossent.errors import UserError

# They decide which pictures validate, or how a run is judged: trials could not be compared.
FIXED = {"data.source", "data.root", "data.num_images", "data.val_fraction", "data.on_bad"}
FIXED |= {"data.folds", "data.fold", "data.seed", "train.keep", "train.overfit_batch"}
MAX_GRID = 10_000  # optuna holds all combinations in memory
RANGE = {"low", "high", "log"}


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


def load_sweep(
    path: str, overrides: Sequence[str] = (), model_names: Sequence[str] | None = None
) -> Sweep:
    """Read and check a sweep as `load_settings` does a config, and report all mistakes at once.

    Raises:
        UserError: one line per mistake, each with its file and line, or its argument.
    """
    mistakes: list[str] = []
    layers = load.read_layers(path, overrides, mistakes, (*SECTIONS, "sweep"))
    if len(layers) == 1:  # the arguments only
        load.refuse(mistakes)
    given = Given(None, f"{path}:1")
    for layer in layers[:-1]:
        given = layer.pop("space", given)
    settings = load.merge(layers, model_names, mistakes, SweepFile).settings
    assert isinstance(settings, SweepFile)
    sweep = Sweep(with_values(settings, {}), settings.sweep, {})
    if not isinstance(given.value, Lined) or not given.value:
        load.refuse([*mistakes, f"{given.origin}: a sweep needs a section space: what to try"])
    path, is_grid = given.origin.rpartition(":")[0], sweep.plan.strategy == "grid"
    for name, item in load.flatten(given.value, path, SECTIONS).items():
        try:
            sweep.space[name] = read_axis(name, item.value, is_grid, model_names)
        except UserError as error:
            mistakes += [f"{item.origin}: {line}" for line in str(error).splitlines()]
    if is_grid and math.prod(map(len, sweep.grid.values())) > MAX_GRID:
        mistakes.append(f"{given.origin}: the grid has more than {MAX_GRID:,} combinations")
    load.refuse(mistakes)
    return sweep


def read_axis(
    name: str, value: Any, is_grid: bool, model_names: Sequence[str] | None
) -> BaseDistribution:
    """Read what to try of one setting; raise UserError if it cannot be tried."""
    if name not in FIELDS:
        raise UserError(load.unknown_name(name, tuple(FIELDS)))
    if name in FIXED:
        raise UserError(f"{name} cannot be tried: trials are compared on the same pictures")
    is_range = isinstance(value, Lined) and RANGE - {"log"} <= value.keys() <= RANGE
    is_list = isinstance(value, list) and value != []
    if is_list and any(isinstance(v, list | dict) for v in value):
        is_list = False
    if not (is_range or is_list):
        words = "a list of words or numbers, or a range such as {low: 0.01, high: 0.3, log: true}"
        raise UserError(f"{name} must be {words}; got {load.quoted(value)}")
    if is_range and is_grid:
        raise UserError(f"{name}: a grid needs a list of values")
    values = [value["low"], value["high"]] if is_range else value
    for v in values:
        wrong = load.check(Settings, {name: Given(v, "")}, model_names)[1]
        if wrong:
            raise UserError(next(iter(wrong.values())))
    if is_list:
        return CategoricalDistribution(value)
    is_int = FIELDS[name].annotation in (int, int | None)
    try:
        return IntDistribution(**value) if is_int else FloatDistribution(**value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: {error}") from None
