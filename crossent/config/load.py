"""Load settings from a config file, the files it starts from, and the command line."""

import difflib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import ValidationError

from crossent.config.settings import (
    FIELDS,
    SECTIONS,
    Section,
    Settings,
    fields_of,
    flat_values,
    nested,
)
from crossent.config.yaml_text import (
    MAX_CHARS,
    format_value,
    read_word,
    read_yaml,
    shorten,
    value_of,
)
from crossent.errors import UserError

DEFAULT_CONFIG = Path(__file__).resolve().parents[2] / "configs" / "default.yaml"
MAX_ALIGNED = 44  # a long path must not push every comment off the screen

Model = TypeVar("Model", bound=Section)


class Given(NamedTuple):
    """A value and its origin: "configs/photos.yaml:14" or "argument optim.lr=0.1"."""

    value: Any
    origin: str


Layer = dict[str, Given]  # the values of one file or of the command line, by dotted name


@dataclass(frozen=True)
class Loaded:
    """The settings of a run, and the origin of each value.

    `origins` has every dotted name: {"optim.lr": "configs/photos.yaml:14", "seed": "default"}.
    `kept` names the settings given in the layer of `model.weights` or later: they override what
    the weights need.
    """

    settings: Settings
    origins: dict[str, str]
    kept: Collection[str]


def load_settings(config: str | Path | Settings | None, overrides: Sequence[str] = ()) -> Loaded:
    """Read and check all settings, and report all mistakes at once.

    Args:
        config: the path of a YAML file, or settings; None for configs/default.yaml.
        overrides: `section.key=value` arguments, which replace values of the config.

    Raises:
        UserError: one line per mistake, each with its file and line, or its argument.

    Example:
        >>> load_settings(None, ["optim.lr=0.5"]).origins["optim.lr"]
        'argument optim.lr=0.5'
    """
    mistakes: list[str] = []
    if isinstance(config, Settings):
        layers = [{name: Given(value, "the run") for name, value in flat_values(config).items()}]
    else:
        default = min(str(DEFAULT_CONFIG), os.path.relpath(DEFAULT_CONFIG), key=len)
        layers = file_layers(str(config or default), mistakes)
    layers.append(argument_layer(overrides, mistakes))
    given = merge(layers)
    settings, wrong = check(Settings, given)
    if mistakes or wrong or settings is None:
        raise UserError("\n".join(mistakes + wrong))
    origins = {name: given[name].origin if name in given else "default" for name in FIELDS}
    order = {name: number for number, layer in enumerate(layers) for name in layer}
    kept = {name for name in order if order[name] >= order.get("model.weights", 0)}
    return Loaded(settings, origins, kept)


def saved_settings(path: Path) -> Settings:
    """Return the settings in the config.yaml of a run; a UserError has all mistakes in one line.

    The file has every setting: if another version of crossent wrote it, some may not exist here.
    """
    try:
        return load_settings(path).settings
    except UserError as error:
        mistakes = "; ".join(str(error).splitlines())
        raise UserError(
            f"{mistakes}; if another version of crossent wrote this file, use that version"
        ) from None


def settings_from_dict(values: object, where: str | Path) -> Settings:
    """Return the settings in a checkpoint or a model file.

    Raises:
        UserError: another version of crossent, with other settings, wrote `where`.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        reason = next(iter(in_words(error).values()))
        raise UserError(
            f"{where} was written by a version of crossent with other settings ({reason}); "
            "use that version"
        ) from None


def render(loaded: Loaded) -> str:
    """Return every setting, with its origin and meaning as comments, for --print-config."""
    width = max(map(len, loaded.origins.values()))
    comments = {n: f"# {o:<{width}}  {FIELDS[n].description}" for n, o in loaded.origins.items()}
    return to_yaml(loaded.settings, comments)


def to_yaml(values: Settings | Mapping[str, Any], comments: Mapping[str, str] | None = None) -> str:
    """Return settings, or values by dotted name, as YAML: one per line, each with its comment.

    Example:
        >>> to_yaml(Settings()).splitlines()[:3]
        ['seed: 0', 'data:', '  source: drawings']
    """
    lines, section = [], ""
    flat = flat_values(values) if isinstance(values, Settings) else values
    for name, value in flat.items():
        own_section, _, key = name.rpartition(".")
        if own_section != section:
            section = own_section
            lines.append(f"{section}:")
        text = f"{'  ' if section else ''}{key}: {format_value(value)}"
        lines.append(f"{text:<{MAX_ALIGNED}}  {comments[name]}" if comments else text)
    return "".join(f"{line}\n" for line in lines)


def differences(a: Settings, b: Settings) -> list[str]:
    """Return one line per setting that differs: "optim.lr: 0.1 -> 0.2"."""
    old, new = flat_values(a), flat_values(b)
    changed = [name for name in FIELDS if old[name] != new[name]]
    return [f"{name}: {format_value(old[name])} -> {format_value(new[name])}" for name in changed]


def file_layers(
    path: str, mistakes: list[str], sections: Collection[str] = SECTIONS
) -> list[Layer]:
    """Read a config and its chain of `base` files; return their layers, the last `base` first.

    Args:
        mistakes: one line is added per mistake.
        sections: names of the mappings whose values are settings.
    """
    layers: list[Layer] = []
    seen: list[str] = []
    asked_by = ""  # the line that names the file, such as "fox.yaml:1: base: "
    while True:
        shown = shorten(path, 4096)  # the longest path on Linux
        try:
            if os.path.realpath(path) in seen:
                raise ValueError("starts from itself; remove one of these `base` lines")
            seen.append(os.path.realpath(path))
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                node, problems = read_yaml(file.read(MAX_CHARS + 1))
        except (OSError, ValueError) as error:  # ValueError also if the path contains NUL
            near = did_you_mean(path, map(str, Path(path).parent.glob("*.yaml")))
            reason = error.strerror if isinstance(error, OSError) else f"{error}"
            mistakes.append(f"{asked_by}{shown}: {reason}{near}")
            return layers
        if not isinstance(node, yaml.MappingNode | None):
            problems.append((1, "expected settings such as seed: 1, one key per line"))
        mistakes += [f"{shown}:{line}: {problem}" for line, problem in problems]
        layer = flatten(node, shown, sections) if isinstance(node, yaml.MappingNode) else {}
        base = layer.pop("base", None)
        layers.insert(0, layer)
        if base is None:
            return layers
        asked_by = f"{base.origin}: base: "
        path = os.path.join(os.path.dirname(path), os.path.expanduser(str(base.value)))


def argument_layer(overrides: Sequence[str], mistakes: list[str]) -> Layer:
    """Read `section.key=value` arguments; of two with the same name the last one counts."""
    layer: Layer = {}
    for argument in overrides:
        origin = f"argument {shorten(argument, 100)}"
        name, _, text = (part.strip() for part in argument.partition("="))
        # A path may contain `: ` or ` #`, so only a list, a mapping or a quoted text is YAML.
        node, problems = read_yaml(text) if text[:1] in "[{\"'" else (read_word(text), [])
        if not (name and text):
            problems = [(1, "expected section.key=value, such as optim.lr=0.1; for no value: null")]
        if problems or node is None:
            mistakes.append(f"{origin}: {problems[0][1]}")
        else:
            layer[name] = Given(value_of(node), origin)
    return layer


def merge(layers: Iterable[Layer]) -> Layer:
    """Return the last value of each name.

    A layer with data.root or data.labels, but no data.source, changes the source from drawings to
    folder.
    """
    given: Layer = {}
    for layer in layers:
        given |= layer
        paths = [layer[n] for n in ("data.labels", "data.root") if n in layer]
        is_drawn = "data.source" not in given or given["data.source"].value == "drawings"
        if is_drawn and "data.source" not in layer and any(p.value is not None for p in paths):
            given["data.source"] = Given("folder", paths[0].origin)
    return given


def check(model: type[Model], given: Mapping[str, Given]) -> tuple[Model | None, list[str]]:
    """Validate values; return the model, and one line per mistake with its origin."""
    known = list(fields_of(model))
    sections = {name.rpartition(".")[0] for name in known}
    # pydantic gets unknown keys too; it does not look for contradictions in a section with one
    names = [n for n in given if n.rpartition(".")[0] in sections and n not in sections]
    settings, wrong = None, {}
    try:
        settings = model.model_validate(nested({name: given[name].value for name in names}))
    except ValidationError as error:
        wrong = in_words(error)
    wrong |= {name: unknown_name(name, known) for name in given if name not in known}
    return settings, [f"{given[name].origin}: {wrong[name]}" for name in given if name in wrong]


def in_words(error: ValidationError) -> dict[str, str]:
    """Return a sentence for each setting that is wrong or contradicts another one, by name."""
    found = {}
    for item in error.errors(include_url=False):
        name, text = ".".join(map(str, item["loc"][:2])), item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            found[name] = f"{name} is not a setting"
        elif " should be " in text:  # "Input should be a valid number"
            expected = text.partition(" should be ")[2]
            near = did_you_mean(item["input"], re.findall("'([^']+)'", expected))
            got = shorten(repr(item["input"]))
            found[name] = f"{name} must be {expected}; got {got}{near}"
        else:  # contradictions: one line each, which begins with a name
            found |= {line.partition(" ")[0]: line for line in text.split("\n")}
    return found


def unknown_name(name: str, known: Sequence[str]) -> str:
    """Return what is wrong with a name: misspelt, in the wrong section, or itself a section."""
    inside = [other for other in known if other.startswith(f"{name}.")]
    if inside:
        return f"{name} is a section, not a value; write its settings below it, such as {inside[0]}"
    key = name.rpartition(".")[2]
    elsewhere = [other for other in known if other.rpartition(".")[2] == key]
    if elsewhere:
        return f"{shorten(name)} is not a setting; did you mean {elsewhere[0]}?"
    return f"{shorten(name)} is not a setting{did_you_mean(name, [*known, *SECTIONS, 'base'])}"


def did_you_mean(word: Any, names: Iterable[str]) -> str:
    """Return "; did you mean X?" with the nearest of the names, or "" if none is near."""
    names = list(names)
    ending = [name for name in names if name.endswith(f"/{word}")]
    near = ending or difflib.get_close_matches(str(word)[:200], names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def flatten(
    node: yaml.MappingNode, shown: str, sections: Collection[str], prefix: str = ""
) -> Layer:
    """Return the values below a mapping of the file `shown`."""
    found: Layer = {}
    for key, value in node.value:
        name = prefix + key.value
        if name in sections and isinstance(value, yaml.MappingNode):
            found |= flatten(value, shown, sections, f"{name}.")
        # A section whose lines are all commented out is empty, and sets nothing.
        elif name not in sections or value.value != "":
            found[name] = Given(value_of(value), f"{shown}:{key.start_mark.line + 1}")
    return found
