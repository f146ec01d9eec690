"""A sweep from YAML: a config like any other, with two more sections, `sweep` and `space`.

sweep: {strategy: tpe, trials: 30}
space: {optim: {lr: {low: 0.01, high: 0.3, log: true}}, train: {mixup: [0.0, 0.4, 1.0]}}
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator

from crossent.config import FIELDS, Settings, load, to_yaml, with_values
from crossent.config.load import Given
from crossent.config.settings import SECTIONS, Section, expect, setting
from crossent.config.yaml_text import Lined, yaml_lines
from crossent.errors import UserError

# They decide which pictures validate, or how a run is judged: trials could not be compared.
FIXED = {"data.source", "data.root", "data.num_images", "data.val_fraction", "data.on_bad"}
FIXED |= {"data.folds", "data.fold", "data.seed", "train.keep", "train.overfit_batch"}
FIXED |= {"train.minutes"}
NUMBERS = (int, float, int | None, float | None)
MAX_GRID = 10_000

Scalar = bool | int | float | str | None
Number = Annotated[int | float, expect("a number")]


class SweepSettings(Section):
    """How to go through a space."""

    strategy: Literal["grid", "random", "tpe"] = setting("tpe", "tpe: near what was good so far")
    trials: int | None = setting(None, "null: all of a grid, else 20", ge=1, le=100_000)
    seed: int = setting(0, "seed of what is tried", ge=0, le=2**32 - 1)
    prune: bool = setting(True, "stop a trial that is worse than most were at that epoch")


class SweepFile(Settings):
    """The settings of a run, and how to go through a space."""

    sweep: SweepSettings = SweepSettings()


class Range(Section):
    """All numbers from `low` to `high`."""

    low: Number
    high: Number
    log: bool = False

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high; a log range starts above 0")
        return self


Axis = list[Scalar] | Range  # what may be tried of one setting
Space = dict[str, Axis]  # by dotted name


@dataclass(frozen=True)
class Sweep:
    """The settings that all trials start from, and what is tried."""

    settings: Settings
    plan: SweepSettings
    space: Space

    @property
    def num_trials(self) -> int:
        if self.plan.strategy != "grid":
            return self.plan.trials or 20
        return min(self.plan.trials or MAX_GRID, math.prod(map(len, self.grid.values())))

    @property
    def grid(self) -> dict[str, list[Scalar]]:
        """The settings that have a list of values: all of them in a grid."""
        return {name: axis for name, axis in self.space.items() if isinstance(axis, list)}

    def to_yaml(self) -> str:
        """Return a text that `load_sweep` reads as the same sweep."""
        plan = yaml_lines({f"sweep.{key}": value for key, value in self.plan.model_dump().items()})
        ranges = {name: a for name, a in self.space.items() if isinstance(a, Range)}
        dumped = {name: a.model_dump() for name, a in ranges.items()}
        axes = yaml_lines({**self.space, **dumped})
        return f"{to_yaml(self.settings)}{plan}space:\n{indent(axes, '  ')}"


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
    loaded = load.merge(layers, model_names, mistakes, SweepFile)
    assert isinstance(loaded.settings, SweepFile)
    if loaded.settings.train.minutes is not None:
        words = "train.minutes is given, but trials are compared epoch by epoch; set train.epochs"
        mistakes.append(f"{loaded.origins['train.minutes']}: {words}")
    plan = loaded.settings.sweep
    space = read_space(given, plan.strategy == "grid", model_names, mistakes)
    load.refuse(mistakes)
    return Sweep(with_values(loaded.settings, {}), plan, space)


def read_space(
    given: Given, is_grid: bool, model_names: Sequence[str] | None, mistakes: list[str]
) -> Space:
    if not isinstance(given.value, Lined) or not given.value:
        mistakes.append(f"{given.origin}: a sweep needs a section space: what to try")
        return {}
    space: Space = {}
    path = given.origin.rpartition(":")[0]
    for name, item in load.flatten(given.value, path, SECTIONS).items():
        try:
            space[name] = axis = read_axis(name, item.value, model_names)
            if is_grid and isinstance(axis, Range):
                raise UserError(f"{name}: a grid needs a list of values")
        except UserError as error:
            mistakes += [f"{item.origin}: {line}" for line in str(error).splitlines()]
    if is_grid and math.prod(len(a) for a in space.values() if isinstance(a, list)) > MAX_GRID:
        mistakes.append(f"{given.origin}: the grid has more than {MAX_GRID:,} combinations")
    return space


def read_axis(name: str, value: Any, model_names: Sequence[str] | None) -> Axis:
    """Read what is to be tried of one setting; raise UserError if it cannot be."""
    if name not in FIELDS:
        raise UserError(load.unknown_name(name, tuple(FIELDS)))
    if name in FIXED:
        raise UserError(f"{name} cannot be tried: trials are compared on the same pictures")
    if isinstance(value, list) and value and all(isinstance(v, Scalar) for v in value):
        axis: Axis = value
        values = value
    elif isinstance(value, Lined) and value.keys() >= {"low", "high"}:
        if FIELDS[name].annotation not in NUMBERS:
            raise UserError(f"{name} has no range of numbers; give a list of values")
        found, wrong = load.check(Range, {key: Given(item, name) for key, item in value.items()})
        load.refuse([f"{name}: {text}" for text in wrong.values()])
        assert found is not None
        axis, values = found, [found.low, found.high]
    else:
        words = "a list of words or numbers, or a range such as {low: 0.01, high: 0.3, log: true}"
        raise UserError(f"{name} must be {words}; got {load.quoted(value)}")
    texts = [load.check(Settings, {name: Given(v, "")}, model_names)[1].values() for v in values]
    load.refuse(list(dict.fromkeys(text for found in texts for text in found)))
    return axis
