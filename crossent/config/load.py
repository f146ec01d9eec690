"""Settings from a config file, the files it starts from and the command line, in that order."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from crossent.config.layers import Given, Layer, argument_layer, file_layers
from crossent.config.mistakes import unknown_name, wrong_choice, wrong_value
from crossent.config.schema import FIELDS, SECTIONS, Settings
from crossent.errors import UserError

MAX_MISTAKES = 100  # more help nobody
DEFAULT_CONFIG = Path(__file__).resolve().parents[2] / "configs" / "default.yaml"


@dataclass(frozen=True)
class Loaded:
    """The settings of a run, and where each value came from.

    `origins` has every dotted name: {"optim.lr": "configs/photos.yaml:14", "seed": "default"}.
    """

    settings: Settings
    origins: dict[str, str]


def load_settings(
    config: str | Path | None,
    overrides: Sequence[str] = (),
    model_names: Sequence[str] | None = None,
    also: Sequence[str] = (),
) -> Loaded:
    """Read and check all settings, and tell all mistakes at once.

    Args:
        config: path of a YAML file; None for configs/default.yaml of this repository.
        overrides: `section.key=value` each; they have the last word.
        model_names: what `model.name` may be; None takes any name.
        also: sections that may stand there for others to read, such as those of a sweep.

    Returns:
        the settings with the origin of each.

    Raises:
        UserError: a line a mistake, each with its file and line, or its argument.

    Example:
        >>> load_settings(None, ["optim.lr=0.5"]).origins["optim.lr"]
        'argument optim.lr=0.5'
    """
    mistakes: list[str] = []
    path = _default_config() if config is None else str(config)
    layers = [*file_layers(path, mistakes), argument_layer(overrides, mistakes)]
    given: Layer = {}
    for layer in layers:
        layer = {n: value for n, value in layer.items() if n.partition(".")[0] not in also}
        mistakes.extend(f"{layer[n].origin}: {unknown_name(n)}" for n in layer if n not in FIELDS)
        known = {name: layer[name] for name in layer if name in FIELDS}
        mistakes.extend(_wrong_values(known, model_names))
        given |= known
    mistakes.extend(_contradictions(given, bool(mistakes)))
    if mistakes:
        raise UserError(_as_lines(mistakes))
    origins = {name: given[name].origin if name in given else "default" for name in FIELDS}
    return Loaded(Settings.model_validate(_nested(given)), origins)


def _default_config() -> str:
    """Give the path of the default config, relative where that is shorter to read."""
    below = DEFAULT_CONFIG.is_relative_to(Path.cwd())
    return os.path.relpath(DEFAULT_CONFIG) if below else str(DEFAULT_CONFIG)


def _wrong_values(layer: Layer, model_names: Sequence[str] | None) -> list[str]:
    """Check a layer by itself, so that a mistake is told even if a later layer hides it."""
    wrong = {}
    try:
        Settings.model_validate(_nested(layer))
    except ValidationError as error:
        # A setting of several types has an error for each; one sentence names them all.
        names = {_name(problem["loc"]) for problem in error.errors()}
        wrong = {name: wrong_value(name, layer[name].value) for name in names}
    model = layer.get("model.name")
    if model_names is not None and model is not None and not is_one_of(model.value, model_names):
        wrong["model.name"] = wrong_choice("model.name", model.value, model_names)
    return [f"{layer[name].origin}: {wrong[name]}" for name in layer if name in wrong]


def is_one_of(value: Any, names: Sequence[str]) -> bool:
    """Whether a name is among those given; "family/NAME" among them stands for any of a family."""
    families = tuple(name.removesuffix("NAME") for name in names if name.endswith("/NAME"))
    return value in names or (isinstance(value, str) and value.startswith(families))


def _name(location: tuple[int | str, ...]) -> str:
    """Give the dotted name of pydantic's place of an error, which goes on inside the value."""
    depth = 2 if location[0] in SECTIONS else 1
    return ".".join(str(part) for part in location[:depth])


def _contradictions(given: Layer, has_mistakes: bool) -> list[str]:
    """Find settings that are right by themselves, but not together."""
    return _root_contradictions(given, has_mistakes) + _fold_contradictions(given, has_mistakes)


def _fold_contradictions(given: Layer, has_mistakes: bool) -> list[str]:
    names = ("data.folds", "data.fold", "data.source")
    folds, fold, source = (given.get(name, Given(None, "default")) for name in names)
    if has_mistakes:
        return []
    if fold.value is not None and folds.value is None:
        return [f"{fold.origin}: data.fold is one of data.folds; say how many there are"]
    if fold.value is not None and fold.value > folds.value:
        return [f"{fold.origin}: data.fold is {fold.value}, but there are only {folds.value} folds"]
    if folds.value is not None and source.value != "folder":
        text = "data.folds needs data.source folder: other sources have their own validation"
        return [f"{folds.origin}: {text} pictures"]
    return []


def _root_contradictions(given: Layer, has_mistakes: bool) -> list[str]:
    default = Given(None, "default")
    source, root = given.get("data.source", default), given.get("data.root", default)
    if source.value == "folder" and root.value is None:
        text = "data.source folder needs data.root, the folder of the pictures"
        return [f"{source.origin}: {text}; add data.root=FOLDER"]
    # A misspelt data.source would end here too, and has been told already.
    if source.value in (None, "drawings") and root.value is not None and not has_mistakes:
        return [f"{root.origin}: data.root is not read with data.source drawings; use folder"]
    return []


def _nested(layer: Layer) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    for name, given in layer.items():
        section, _, key = name.rpartition(".")
        (values.setdefault(section, {}) if section else values)[key] = given.value
    return values


def _as_lines(mistakes: Sequence[str]) -> str:
    lines = list(mistakes[:MAX_MISTAKES])
    if len(mistakes) > MAX_MISTAKES:
        lines.append(f"and {len(mistakes) - MAX_MISTAKES:,} more mistakes")
    return "\n".join(lines)
