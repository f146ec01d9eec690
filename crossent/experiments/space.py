"""A sweep from YAML: a config like any other, with two more sections, `sweep` and `space`.

sweep: {strategy: tpe, trials: 30}
space: {optim: {lr: {low: 0.01, high: 0.3, log: true}}, train: {mixup: [0.0, 0.4, 1.0]}}
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Annotated, Literal, Self

from pydantic import model_validator

from crossent.config import FIELDS, Settings, load, to_yaml, with_values
from crossent.config.load import Given
from crossent.config.settings import SECTIONS, Section, expect, setting
from crossent.config.yaml_text import yaml_lines
from crossent.errors import UserError

# They decide which pictures validate, or how a run is judged: trials could not be compared.
FIXED = {"data.source", "data.root", "data.num_images", "data.val_fraction", "data.on_bad"}
FIXED |= {"data.folds", "data.fold", "data.seed", "train.keep", "train.overfit_batch"}
FIXED |= {"train.minutes", "data.labels", "data.group"}
NUMBERS = (int, float, int | None, float | None)
MAX_GRID = 10_000
SPACE_SECTIONS = ("space", *(f"space.{section}" for section in SECTIONS))

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
    mistakes += wrong
    settings = settings or SweepFile()
    if settings.train.minutes is not None:
        words = "train.minutes is given, but trials are compared epoch by epoch; set train.epochs"
        mistakes.append(f"{given['train.minutes'].origin}: {words}")
    plan = settings.sweep
    space = read_space(of_space, path, plan.strategy == "grid", mistakes)
    load.refuse(mistakes)
    return Sweep(with_values(settings, {}), plan, space)


def read_space(of_space: load.Layer, path: str, is_grid: bool, mistakes: list[str]) -> Space:
    """Read what is to be tried of each setting."""
    if not of_space or "space" in of_space:
        origin = next((given.origin for given in of_space.values()), f"{path}:1")
        mistakes.append(f"{origin}: a sweep needs a section space: what to try")
        return {}
    space: Space = {}
    for name, given in of_space.items():
        try:
            space[name] = axis = read_axis(name, given)
            if is_grid and isinstance(axis, Range):
                raise UserError(f"{given.origin}: {name}: a grid needs a list of values")
        except UserError as error:
            mistakes += str(error).splitlines()
    if is_grid and math.prod(len(a) for a in space.values() if isinstance(a, list)) > MAX_GRID:
        origin = next(iter(of_space.values())).origin
        mistakes.append(f"{origin}: the grid has more than {MAX_GRID:,} combinations")
    return space


def read_axis(name: str, given: Given) -> Axis:
    """Read what is to be tried of one setting; raise UserError if it cannot be."""
    value, origin = given
    if name not in FIELDS:
        raise UserError(f"{origin}: {load.unknown_name(name, tuple(FIELDS))}")
    if name in FIXED:
        raise UserError(
            f"{origin}: {name} cannot be tried: trials are compared on the same pictures"
        )
    if isinstance(value, list) and value and all(isinstance(v, Scalar) for v in value):
        axis: Axis = value
        values = value
    elif isinstance(value, dict) and value.keys() >= {"low", "high"}:
        if FIELDS[name].annotation not in NUMBERS:
            raise UserError(f"{origin}: {name} has no range of numbers; give a list of values")
        parts = {key: Given(item, f"{origin}: {name}") for key, item in value.items()}
        found, wrong = load.check(Range, parts)
        load.refuse(wrong)
        assert found is not None
        axis, values = found, [found.low, found.high]
    else:
        words = "a list of words or numbers, or a range such as {low: 0.01, high: 0.3, log: true}"
        raise UserError(f"{origin}: {name} must be {words}; got {value!r}")
    wrong = [line for v in values for line in load.check(Settings, {name: Given(v, origin)})[1]]
    load.refuse(list(dict.fromkeys(wrong)))
    return axis
