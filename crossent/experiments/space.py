"""A sweep from YAML: a config like any other, with two more sections, `sweep` and `space`.

sweep: {strategy: tpe, trials: 30}
space: {optim: {lr: {low: 0.01, high: 0.3, log: true}}, train: {mixup: [0.0, 0.4, 1.0]}}
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from crossent.config import FIELDS, Settings, load, to_yaml, with_values
from crossent.config.load import Given, Layer
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
Step = Annotated[int | float, Field(gt=0), expect("a number above 0")]


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
        if self.low >= self.high or (self.log and (self.low <= 0 or self.step)):
            raise ValueError("low must be below high; a log range starts above 0, without step")
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
        axes = {
            name: axis.values
            if isinstance(axis, Choices)
            else axis.model_dump(exclude_defaults=True)
            for name, axis in self.space.items()
        }
        return f"{to_yaml(self.settings)}{plan}space:\n{indent(yaml_lines(axes), '  ')}"


def grid_values(axis: Choices | Range) -> Sequence[Scalar]:
    """Return the values of one setting in a grid; a range needs a step."""
    if isinstance(axis, Choices):
        return axis.values
    assert axis.step is not None
    return [axis.low + n * axis.step for n in range(num_values(axis))]


def num_values(axis: Choices | Range) -> int:
    """Count the values of one setting in a grid; a tiny step has more than memory holds."""
    if isinstance(axis, Choices):
        return len(axis.values)
    assert axis.step is not None
    return math.floor(min((axis.high - axis.low) / axis.step + 1e-9, sys.maxsize)) + 1


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
    layers = load.read_layers(path, overrides, mistakes, (*SECTIONS, "sweep"))
    if len(layers) == 1:  # the arguments only
        load.refuse(mistakes)
    layers_of_settings = [
        {name: item for name, item in layer.items() if name.partition(".")[0] != "space"}
        for layer in layers
    ]
    loaded = load.merge(layers_of_settings, model_names, mistakes, SweepFile)
    assert isinstance(loaded.settings, SweepFile)
    if loaded.settings.train.minutes is not None:
        words = "train.minutes is given, but trials are compared epoch by epoch; set train.epochs"
        mistakes.append(f"{loaded.origins['train.minutes']}: {words}")
    *bases, file, arguments = layers
    for base in bases:
        own = [item for name, item in base.items() if name.partition(".")[0] in ("sweep", "space")]
        mistakes += [f"{item.origin}: a sweep cannot start from another sweep" for item in own[:1]]
    for name, item in arguments.items():
        if name.partition(".")[0] == "space":
            words = "can only stand in the file; an argument can be sweep.trials=50"
            mistakes.append(f"{item.origin}: {name} {words}")
    plan = loaded.settings.sweep
    space = read_space(file.get("space", Given(None, f"{path}:1")), model_names, mistakes)
    if plan.strategy == "grid" and not mistakes:
        mistakes += grid_mistakes(space, file["space"])
    load.refuse(mistakes)
    return Sweep(with_values(loaded.settings, {}), plan, space)


def read_space(given: Given, model_names: Sequence[str] | None, mistakes: list[str]) -> Space:
    if not isinstance(given.value, Lined) or not given.value:
        mistakes.append(f"{given.origin}: a sweep needs a section space: what to try")
        return {}
    space: Space = {}
    for name, item in flattened(given).items():
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
        raise UserError(load.unknown_name(name, tuple(FIELDS)))
    if name in FIXED:
        words = "trials are compared epoch by epoch, on the same pictures"
        raise UserError(f"{name} cannot be tried: {words}")
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
        raise UserError(f"{name} must be {words}; got {load.quoted(value)}")
    wrong = [load.check(Settings, {name: Given(v, "")}, model_names)[1] for v in values]
    load.refuse([text for texts in wrong for text in texts.values()])
    if isinstance(axis, Range) and FIELDS[name].annotation not in NUMBERS:
        raise UserError(f"{name} has no range of numbers; give a list of values")
    return axis


def read_range(name: str, values: Lined) -> Range:
    if not values.keys() >= {"low", "high"}:
        raise UserError(f"{name}: a range needs low and high")
    axis, wrong = load.check(Range, {key: Given(value, name) for key, value in values.items()})
    if axis is None:
        raise UserError("\n".join(f"{name}: {text}" for text in wrong.values()))
    return axis


def grid_mistakes(space: Space, given: Given) -> Iterator[str]:
    lines = flattened(given)
    endless = [n for n, axis in space.items() if isinstance(axis, Range) and axis.step is None]
    for name in endless:
        yield f"{lines[name].origin}: {name}: a grid needs a list of values, or a step"
    if not endless and math.prod(map(num_values, space.values())) > MAX_GRID:
        yield f"{given.origin}: the grid has more than {MAX_GRID:,} combinations"


def flattened(space: Given) -> Layer:
    """Return what is to be tried by dotted name, each with its file and line."""
    return load.flatten(space.value, space.origin.rpartition(":")[0], SECTIONS)
