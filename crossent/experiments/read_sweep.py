"""A sweep from YAML: a config like any other, with two more sections, `sweep` and `space`.

sweep: {strategy: tpe, trials: 30}
space: {optim: {lr: {low: 0.01, high: 0.3, log: true}}, train: {mixup: [0.0, 0.4, 1.0]}}
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from crossent.config import Settings, load_settings, with_values
from crossent.config.document import Document, read_document
from crossent.config.layers import Given, argument_layer, file_layers
from crossent.config.load import is_one_of
from crossent.config.mistakes import did_you_mean, show, unknown_name, wrong_choice, wrong_value
from crossent.config.schema import FIELDS, SECTIONS, Section
from crossent.errors import UserError
from crossent.experiments.space import (
    Choices,
    Range,
    Scalar,
    Space,
    Sweep,
    SweepSettings,
    grid_values,
)

OWN_SECTIONS = ("sweep", "space")
# They say which pictures validate, or what of a run is judged: trials could not be compared.
FIXED = {"data.source", "data.root", "data.num_images", "data.val_fraction", "data.on_bad"}
FIXED |= {"data.folds", "data.fold", "data.seed", "train.keep", "train.overfit_batch"}
NOT_TIMED = "has no place in a sweep: trials are compared epoch by epoch; set train.epochs"
NUMBERS = (int, float, int | None, float | None)
MAX_GRID = 10_000
CONFIG = ConfigDict(strict=True, allow_inf_nan=False)


def load_sweep(
    path: str, overrides: Sequence[str] = (), model_names: Sequence[str] | None = None
) -> Sweep:
    """Read and check a sweep, and tell all mistakes at once.

    Args:
        path: of the YAML file.
        overrides: `section.key=value` for all trials, or `sweep.trials=50`.

    Raises:
        UserError: a line a mistake, each with its file and line, or its argument.
    """
    mistakes: list[str] = []
    settings = Settings()
    try:
        loaded = load_settings(path, overrides, model_names, also=OWN_SECTIONS)
        settings = loaded.settings
        if settings.train.minutes is not None:
            mistakes.append(f"{loaded.origins['train.minutes']}: train.minutes {NOT_TIMED}")
    except UserError as error:
        mistakes += str(error).splitlines()
    if not Path(path).is_file():
        raise UserError("\n".join(mistakes))
    *bases, _ = file_layers(path, [])
    for layer in bases:
        found = [layer[name].origin for name in OWN_SECTIONS if name in layer]
        mistakes += [f"{origin}: a sweep cannot start from another sweep" for origin in found]
    reader = Reader(path, read_document(Path(path).read_bytes()), mistakes)
    arguments = argument_layer(overrides, [])
    own = [(n, a.origin) for n, a in arguments.items() if n.partition(".")[0] in OWN_SECTIONS]
    in_file = "can only stand in the file; an argument can be sweep.trials=50"
    mistakes += [f"{origin}: {n} {in_file}" for n, origin in own if not n.startswith("sweep.")]
    plan = reader.plan(arguments)
    space = reader.space(settings)
    reader.check_models(space, model_names)
    if plan.strategy == "grid" and not mistakes:
        reader.check_grid(space)
    if mistakes:
        raise UserError("\n".join(mistakes))
    return Sweep(settings, plan, space)


@dataclass(frozen=True)
class Reader:
    """Reads the two sections; what is wrong is added to `mistakes`."""

    path: str
    document: Document
    mistakes: list[str]

    def at(self, name: str) -> str:
        return f"{self.path}:{self.document.lines.get(name, 1)}"

    def wrong(self, name: str, text: str) -> None:
        self.mistakes.append(f"{self.at(name)}: {text}")

    def items(self, name: str, what: str) -> Mapping[str, Any]:
        """What stands in one of the sections."""
        top = self.document.value
        value = top.get(name) if isinstance(top, dict) else None
        if value is None and name == "sweep":
            return {}
        if not isinstance(value, dict) or not value:
            self.wrong(name, f"a sweep needs a section {name}: {what}")
            return {}
        return value

    def plan(self, arguments: Mapping[str, Given]) -> SweepSettings:
        given = self.given("sweep", self.items("sweep", "how to try"))
        given |= {n[6:]: a for n, a in arguments.items() if n.startswith("sweep.")}
        return SweepSettings.model_validate(self.checked(SweepSettings, "sweep", given))

    def given(self, place: str, values: Mapping[str, Any]) -> dict[str, Given]:
        return {key: Given(v, self.at(f"{place}.{key}")) for key, v in values.items()}

    def checked(
        self, model: type[Section], name: str, given: Mapping[str, Given]
    ) -> dict[str, Any]:
        """The values that may stand there."""
        values = {}
        for key, (value, origin) in ((k, (g.value, g.origin)) for k, g in given.items()):
            field = model.model_fields.get(key)
            if field is None:
                near = did_you_mean(key, list(model.model_fields))
                known = near or f"; expected {', '.join(model.model_fields)}"
                self.mistakes.append(f"{origin}: {name}.{key} is not known{known}")
            elif not is_valid(field.annotation, field.metadata, value):
                self.mistakes.append(f"{origin}: {wrong_value(f'{name}.{key}', value, field)}")
            else:
                values[key] = value
        return values

    def space(self, settings: Settings) -> Space:
        found: Space = {}
        for name, value in self.named_items():
            if name not in FIELDS:
                self.wrong(f"space.{name}", unknown_name(name))
            elif name == "train.minutes":
                self.wrong(f"space.{name}", f"{name} {NOT_TIMED}")
            elif name in FIXED:
                self.wrong(
                    f"space.{name}",
                    f"{name} cannot be tried: all trials are judged alike, on the same pictures",
                )
            else:
                axis = self.axis(name, value)
                if axis is not None and self.is_taken(settings, name, axis):
                    found[name] = axis
        return found

    def named_items(self) -> Iterator[tuple[str, Any]]:
        for key, value in self.items("space", "what to try").items():
            if key in SECTIONS and isinstance(value, dict):
                yield from ((f"{key}.{k}", v) for k, v in value.items())
            else:
                yield key, value

    def axis(self, name: str, value: Any) -> Choices | Range | None:
        """What is to be tried of one setting."""
        if isinstance(value, dict):
            return self.range(name, value)
        if isinstance(value, list) and value:
            if all(isinstance(v, Scalar) for v in value):
                return Choices(tuple(value))
            self.wrong(f"space.{name}", f"{name}: values to try are words or numbers, no lists")
            return None
        example = "a list of values or a range such as {low: 0.01, high: 0.3, log: true}"
        self.wrong(f"space.{name}", f"{name} must be {example}; got {show(value)}")
        return None

    def range(self, name: str, value: Mapping[str, Any]) -> Range | None:
        place = f"space.{name}"
        before = len(self.mistakes)
        values = self.checked(Range, name, self.given(place, value))
        if len(self.mistakes) > before:
            return None
        if not {"low", "high"} <= values.keys():
            self.wrong(place, f"{name}: a range needs low and high")
            return None
        axis = Range.model_validate(values)
        if axis.low >= axis.high:
            self.wrong(place, f"{name}: low must be below high; got {axis.low} and {axis.high}")
        elif axis.log and axis.low <= 0:
            self.wrong(place, f"{name}: a log range begins above 0; got {axis.low}")
        elif axis.log and axis.step:
            self.wrong(place, f"{name}: a range has log or step, not both")
        return axis if len(self.mistakes) == before else None

    def is_taken(self, settings: Settings, name: str, axis: Choices | Range) -> bool:
        """Whether the setting may have these values."""
        values = axis.values if isinstance(axis, Choices) else (axis.low, axis.high)
        if isinstance(axis, Range) and axis.step:
            values += (axis.low + axis.step,)  # a whole number only if the step is one
        wrong = [value for value in values if not takes(settings, name, value)]
        for value in wrong:
            self.wrong(f"space.{name}", wrong_value(name, value))
        if isinstance(axis, Range) and FIELDS[name].annotation not in NUMBERS and not wrong:
            self.wrong(f"space.{name}", f"{name} has no range of numbers; give a list of values")
            return False
        return not wrong

    def check_models(self, space: Space, model_names: Sequence[str] | None) -> None:
        axis = space.get("model.name")
        if model_names is None or not isinstance(axis, Choices):
            return
        for value in axis.values:
            if not is_one_of(value, model_names):
                self.wrong("space.model.name", wrong_choice("model.name", value, model_names))

    def check_grid(self, space: Space) -> None:
        for name, axis in space.items():
            if isinstance(axis, Range) and axis.step is None:
                self.wrong(f"space.{name}", f"{name}: a grid needs a list of values, or a step")
        if not self.mistakes and math.prod(len(grid_values(a)) for a in space.values()) > MAX_GRID:
            self.wrong("space", f"the grid has more than {MAX_GRID:,} combinations")


def takes(settings: Settings, name: str, value: Scalar) -> bool:
    try:
        with_values(settings, {name: value})
    except ValidationError:
        return False
    return True


def is_valid(annotation: Any, metadata: Sequence[Any], value: Any) -> bool:
    kind: Any = Annotated[annotation, *metadata] if metadata else annotation
    try:
        TypeAdapter(kind, config=CONFIG).validate_python(value)
    except ValidationError:
        return False
    return True
