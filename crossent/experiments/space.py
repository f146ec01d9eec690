"""A sweep from YAML: a config like any other, with two more sections, `sweep` and `space`.

sweep: {strategy: tpe, trials: 30}
space: {optim: {lr: {low: 0.01, high: 0.3, log: true}}, train: {mixup: [0.0, 0.4, 1.0]}}
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from crossent.config import FIELDS, Settings, to_yaml
from crossent.config.load import (
    Given,
    Layer,
    check,
    complaints,
    flatten,
    merge,
    read_layers,
    refuse,
    unknown_name,
    without,
    wrong_value,
)
from crossent.config.render import yaml_lines
from crossent.config.settings import Section, expect, setting
from crossent.config.yaml_text import Lined
from crossent.errors import UserError

OWN_SECTIONS = ("sweep", "space")
# They decide which pictures validate, or how a run is judged: trials could not be compared.
FIXED = {"data.source", "data.root", "data.num_images", "data.val_fraction", "data.on_bad"}
FIXED |= {"data.folds", "data.fold", "data.seed", "train.keep", "train.overfit_batch"}
NOT_TIMED = "has no place in a sweep: trials are compared epoch by epoch; set train.epochs"
NUMBERS = (int, float, int | None, float | None)
MAX_GRID = 10_000

Scalar = bool | int | float | str | None
Number = Annotated[int | float, expect("a number")]
Step = Annotated[int | float, Field(gt=0), expect("a number above 0")]


class SweepSettings(Section):
    """How to go through a space."""

    strategy: Literal["grid", "random", "tpe"] = setting(
        "tpe", "all combinations; at random; near what was good so far"
    )
    trials: int | None = setting(
        None, "number of trials; null: all of a grid, else 20", ge=1, le=100_000
    )
    seed: int = setting(0, "seed of what is tried", ge=0, le=2**32 - 1)
    prune: bool = setting(True, "stop a trial that is worse than most were at that epoch")


class SweepSection(Section):
    """The part of the file that says how."""

    sweep: SweepSettings = SweepSettings()


@dataclass(frozen=True)
class Choices:
    """Some values of a setting."""

    values: tuple[Scalar, ...]


class Range(Section):
    """All numbers from `low` to `high`, or those in steps from `low` on."""

    low: Number
    high: Number
    log: bool = False
    step: Step | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        wrong = None
        if self.low >= self.high:
            wrong = f"low must be below high; got {self.low} and {self.high}"
        elif self.log and self.low <= 0:
            wrong = f"a log range begins above 0; got {self.low}"
        elif self.log and self.step:
            wrong = "a range has log or step, not both"
        if wrong:
            raise PydanticCustomError("contradiction", "{words}", {"words": wrong})
        return self


Space = dict[str, Choices | Range]  # by dotted name


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
        return min(self.plan.trials or MAX_GRID, len(self.grid()))

    def grid(self) -> list[dict[str, Scalar]]:
        """Return all combinations; the last setting changes fastest."""
        points: list[dict[str, Scalar]] = [{}]
        for name, axis in self.space.items():
            points = [{**point, name: value} for point in points for value in grid_values(axis)]
        return points

    def to_yaml(self) -> str:
        """Return a text that `load_sweep` reads as the same sweep."""
        plan = yaml_lines({f"sweep.{key}": value for key, value in self.plan.model_dump().items()})
        space = yaml_lines({name: as_value(axis) for name, axis in self.space.items()})
        return f"{to_yaml(self.settings)}{plan}space:\n{indent(space, '  ')}"


def grid_values(axis: Choices | Range) -> Sequence[Scalar]:
    if isinstance(axis, Choices):
        return axis.values
    assert axis.step is not None
    count = math.floor((axis.high - axis.low) / axis.step + 1e-9) + 1
    return [axis.low + n * axis.step for n in range(count)]


def as_value(axis: Choices | Range) -> object:
    """Return the axis as it stands in YAML."""
    if isinstance(axis, Choices):
        return axis.values
    return axis.model_dump(exclude_defaults=True)


def load_sweep(
    path: str, overrides: Sequence[str] = (), model_names: Sequence[str] | None = None
) -> Sweep:
    """Read and check a sweep, and report all mistakes at once.

    Args:
        path: of the YAML file.
        overrides: `section.key=value` for all trials, or `sweep.trials=50`.
        model_names: what `model.name` may be; None accepts any name.

    Raises:
        UserError: one line per mistake, each with its file and line, or its argument.
    """
    mistakes: list[str] = []
    layers = read_layers(path, overrides, mistakes)
    if len(layers) == 1:  # the arguments only
        refuse(mistakes)
    loaded = merge(without(layers, OWN_SECTIONS), model_names, mistakes)
    if loaded.settings.train.minutes is not None:
        mistakes.append(f"{loaded.origins['train.minutes']}: train.minutes {NOT_TIMED}")
    *bases, file, arguments = layers
    for name in OWN_SECTIONS:
        found = [layer[name].origin for layer in bases if name in layer]
        mistakes += [f"{origin}: a sweep cannot start from another sweep" for origin in found]
    plan = read_plan(file, arguments, mistakes)
    space = read_space(file.get("space", Given(None, f"{path}:1")), model_names, mistakes)
    if plan.strategy == "grid" and not mistakes:
        check_grid(space, file["space"].origin, mistakes)
    refuse(mistakes)
    return Sweep(loaded.settings, plan, space)


def read_plan(file: Layer, arguments: Layer, mistakes: list[str]) -> SweepSettings:
    given: Layer = {}
    section = file.get("sweep", Given(None, ""))
    if isinstance(section.value, Lined):
        given = flatten(section.value, section.origin.rpartition(":")[0], "sweep.")
    elif section.value is not None:
        mistakes.append(f"{section.origin}: the section sweep says how to try: {{trials: 50}}")
    for name, item in arguments.items():
        if name.startswith("sweep."):
            given[name] = item
        elif name.partition(".")[0] in OWN_SECTIONS:
            words = "can only stand in the file; an argument can be sweep.trials=50"
            mistakes.append(f"{item.origin}: {name} {words}")
    found, wrong = check(SweepSection, given)
    mistakes += complaints(given, wrong, [f"sweep.{key}" for key in SweepSettings.model_fields])
    return found.sweep if found else SweepSettings()


def read_space(given: Given, model_names: Sequence[str] | None, mistakes: list[str]) -> Space:
    if not isinstance(given.value, Lined) or not given.value:
        mistakes.append(f"{given.origin}: a sweep needs a section space: what to try")
        return {}
    space: Space = {}
    for name, item in flatten(given.value, given.origin.rpartition(":")[0]).items():
        try:
            space[name] = read_axis(name, item.value, model_names)
        except UserError as error:
            mistakes += [f"{item.origin}: {line}" for line in str(error).splitlines()]
    return space


def read_axis(name: str, value: Any, model_names: Sequence[str] | None) -> Choices | Range:
    """Read what is to be tried of one setting.

    Raises:
        UserError: it cannot be tried, or not with these values.
    """
    if name not in FIELDS:
        raise UserError(unknown_name(name, list(FIELDS)))
    if name == "train.minutes":
        raise UserError(f"{name} {NOT_TIMED}")
    if name in FIXED:
        raise UserError(f"{name} cannot be tried: trials are compared on the same pictures")
    axis: Choices | Range
    if isinstance(value, Lined):
        axis = read_range(name, value)
        values: tuple[Scalar, ...] = (axis.low, axis.high)
        if axis.step:
            values += (axis.low + axis.step,)  # a whole number only if the step is one
    elif isinstance(value, list) and value and all(isinstance(v, Scalar) for v in value):
        axis, values = Choices(tuple(value)), tuple(value)
    else:
        words = "a list of words or numbers, or a range such as {low: 0.01, high: 0.3, log: true}"
        raise UserError(wrong_value(name, value, f"Input should be {words}"))
    wrong = [check(Settings, {name: Given(v, "")}, model_names)[1] for v in values]
    refuse([text for texts in wrong for text in texts.values()])
    if isinstance(axis, Range) and FIELDS[name].annotation not in NUMBERS:
        raise UserError(f"{name} has no range of numbers; give a list of values")
    return axis


def read_range(name: str, values: Lined) -> Range:
    given = {key: Given(value, name) for key, value in values.items()}
    axis, wrong = check(Range, given)
    refuse(complaints(given, wrong, list(Range.model_fields)))
    if axis is None:
        raise UserError(f"{name}: {wrong.get('', 'a range needs low and high')}")
    return axis


def check_grid(space: Space, origin: str, mistakes: list[str]) -> None:
    for name, axis in space.items():
        if isinstance(axis, Range) and axis.step is None:
            mistakes.append(f"{origin}: {name}: a grid needs a list of values, or a step")
    if not mistakes and math.prod(len(grid_values(a)) for a in space.values()) > MAX_GRID:
        mistakes.append(f"{origin}: the grid has more than {MAX_GRID:,} combinations")
