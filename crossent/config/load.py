"""Settings from a config file, the files it starts from and the command line, in that order."""

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from crossent.config import yaml_text
from crossent.config.settings import FIELDS, SECTIONS, Section, Settings, fields_of, nested, to_yaml
from crossent.config.yaml_text import Lined, format_value, read_word, read_yaml, shorten
from crossent.errors import UserError

MAX_MISTAKES = 100  # more help nobody
DEFAULT_CONFIG = Path(__file__).resolve().parents[2] / "configs" / "default.yaml"

Model = TypeVar("Model", bound=Section)


class Given(NamedTuple):
    """A value and who gave it: "configs/photos.yaml:14" or "argument optim.lr=0.1"."""

    value: Any
    origin: str


Layer = dict[str, Given]  # by dotted name: what one file or the command line gives


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
) -> Loaded:
    """Read and check all settings, and report all mistakes at once.

    Args:
        config: path of a YAML file; None for configs/default.yaml of this repository.
        overrides: `section.key=value` each; they have the last word.
        model_names: what `model.name` may be; None accepts any name.

    Raises:
        UserError: one line per mistake, each with its file and line, or its argument.

    Example:
        >>> load_settings(None, ["optim.lr=0.5"]).origins["optim.lr"]
        'argument optim.lr=0.5'
    """
    mistakes: list[str] = []
    loaded = merge(read_layers(config, overrides, mistakes), model_names, mistakes)
    refuse(mistakes)
    return loaded


def settings_from_dict(values: object, where: str | Path) -> Settings:
    """Return the settings that a checkpoint or a model file holds.

    Raises:
        UserError: `where` was written by another version of crossent, with other settings.
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
    """Write every setting with its origin and meaning as comments, for --print-config."""
    width = max(map(len, loaded.origins.values()))
    comments = {n: f"# {o:<{width}}  {FIELDS[n].description}" for n, o in loaded.origins.items()}
    return to_yaml(loaded.settings, comments)


def refuse(mistakes: Sequence[str]) -> None:
    """Raise a UserError with the mistakes, if there are any."""
    if mistakes:
        raise UserError("\n".join(mistakes[:MAX_MISTAKES]))


def read_layers(
    config: str | Path | None,
    overrides: Sequence[str],
    mistakes: list[str],
    sections: Sequence[str] = SECTIONS,
) -> list[Layer]:
    """Read the files, the most basic first, and then the arguments.

    Args:
        mistakes: one line is added for each thing that cannot be read.
        sections: mappings whose values are settings.
    """
    layers = [argument_layer(overrides, mistakes)]
    default = min(str(DEFAULT_CONFIG), os.path.relpath(DEFAULT_CONFIG), key=len)
    path = default if config is None else str(config)
    asked_by = ""  # "configs/fox.yaml:1: base: ", the place to mend if the file cannot be read
    seen: set[str] = set()
    try:
        while True:
            layers.insert(0, file_layer(path, sections, seen, mistakes))
            base = layers[0].pop("base", None)
            if base is None:
                break
            asked_by = f"{base.origin}: base: "
            if not isinstance(base.value, str) or not base.value:
                raise UserError("must be the path of another config")
            path = os.path.join(os.path.dirname(path), os.path.expanduser(base.value))
    except UserError as error:
        mistakes.append(f"{asked_by}{error}")
    return layers


def file_layer(path: str, sections: Sequence[str], seen: set[str], mistakes: list[str]) -> Layer:
    """Read one file.

    Raises:
        UserError: it is not there, cannot be read, or is among those `seen`.
    """
    shown = shorten(path, 4096) or "''"  # Linux takes no longer path
    if not os.path.isfile(path):  # nor a pipe, which could keep us waiting
        folder = Path(path).parent
        near = map(str, folder.glob("*.yaml")) if os.path.isdir(folder) else ()
        what = "is not a file" if os.path.exists(path) else "does not exist"
        raise UserError(f"{shown} {what}{did_you_mean(path, near)}")
    if os.path.realpath(path) in seen:
        raise UserError(f"{shown} starts from itself; remove one base of the circle")
    seen.add(os.path.realpath(path))
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            values, problems = read_yaml(file.read(yaml_text.MAX_CHARS + 1))
    except OSError as error:
        raise UserError(f"{shown} cannot be read: {error.strerror}") from None
    if not isinstance(values, Lined | None):
        problems.append((1, "expected settings such as seed: 1, one key per line"))
    mistakes += [f"{shown}:{line}: {problem}" for line, problem in problems]
    # An empty file says nothing, and that is fine.
    return flatten(values, shown, sections) if isinstance(values, Lined) else {}


def flatten(values: Lined, path: str, sections: Sequence[str], prefix: str = "") -> Layer:
    """Return the values by dotted name, each with its file and line."""
    layer: Layer = {}
    for key, value in values.items():
        if key in sections and isinstance(value, Lined):
            layer |= flatten(value, path, (), f"{key}.")
        # A section whose lines are all commented out is None to YAML, and says nothing.
        elif key not in sections or value is not None:
            layer[prefix + key] = Given(value, f"{path}:{values.lines[key]}")
    return layer


def argument_layer(overrides: Sequence[str], mistakes: list[str]) -> Layer:
    """Read `section.key=value` arguments; the last one of a name counts, as in a shell."""
    layer: Layer = {}
    for argument in overrides:
        origin = f"argument {shorten(argument, 100)}"
        name, _, text = (part.strip() for part in argument.partition("="))
        # A path may hold `: ` or ` #`: only what begins like a list, a mapping or quotes is YAML.
        value, problems = read_yaml(text) if text[:1] in "[{\"'" else (read_word(text), [])
        if not (name and text):
            problems = [(1, "expected section.key=value, such as optim.lr=0.1; nothing is null")]
        if problems:
            mistakes.append(f"{origin}: {problems[0][1]}")
        else:
            layer[name] = Given(value, origin)
    return layer


def merge(
    layers: Sequence[Layer],
    model_names: Sequence[str] | None,
    mistakes: list[str],
    model: type[Settings] = Settings,
) -> Loaded:
    """Merge the layers and check after each one: what a later layer hides is wrong as well.

    Where there are mistakes, the settings returned are the defaults.
    """
    given: Layer = {}
    settings: Settings | None = None
    wrong: dict[str, str] = {}
    for layer in layers:
        given |= layer
        settings, wrong = check(model, given, model_names)
        mistakes += [f"{layer[name].origin}: {wrong[name]}" for name in layer if name in wrong]
    for section in wrong.keys() - given.keys():
        for contradiction in wrong[section].split("\n"):  # begins with a name
            mistakes.append(f"{given[contradiction.partition(' ')[0]].origin}: {contradiction}")
    known = fields_of(model)
    origins = {name: given[name].origin if name in given else "default" for name in known}
    return Loaded(settings or model(), origins)


def check(
    model: type[Model], given: Layer, model_names: Sequence[str] | None = None
) -> tuple[Model | None, dict[str, str]]:
    """Validate values; return the model, or a sentence by the name of each wrong setting.

    Contradictions stand under the name of their section, one per line.
    """
    known = tuple(fields_of(model))
    sections = {name.rpartition(".")[0] for name in known}
    # Unknown keys stay in their section: as long as there is one, nothing is a contradiction.
    names = [n for n in given if n.rpartition(".")[0] in sections and n not in sections]
    values = nested({name: given[name].value for name in names})
    unknown = {name: unknown_name(name, known) for name in given if name not in known}
    try:
        return model.model_validate(values, context={"model_names": model_names}), unknown
    except ValidationError as error:
        return None, in_words(error) | unknown


def in_words(error: ValidationError) -> dict[str, str]:
    """Return a sentence by the name of each wrong setting, or section that contradicts itself."""
    found = {}
    for item in error.errors(include_url=False):
        name, text = ".".join(map(str, item["loc"][:2])), item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            text = f"{name} is not a setting"
        elif " should " in text:  # "Input should be a valid number"
            text = text.replace("a valid boolean", "true or false")
            near = did_you_mean(item["input"], re.findall("'([^']+)'", text))
            text = re.sub(r"^\w+ should", f"{name or 'the settings'} must", text)
            text = f"{text}; got {quoted(item['input'])}{near}"
        found[name] = text
    return found


def quoted(value: Any) -> str:
    """Write a wrong value for a message."""
    return f"'{shorten(value)}'" if isinstance(value, str) else shorten(format_value(value))


@cache  # each layer is checked again, together with those before it
def unknown_name(name: str, known: tuple[str, ...]) -> str:
    """Say that a name is no setting: a typing error, another section's, or a section's own name."""
    inside = [other for other in known if other.startswith(f"{name}.")]
    if inside:
        return f"{name} is a section, not a value; its settings stand below it, as {inside[0]}"
    if name == "base":
        return "base can only stand in a file; on the command line use -c"
    key = name.rpartition(".")[2]
    elsewhere = [other for other in known if other.rpartition(".")[2] == key]
    near = did_you_mean(name, [*known, *(other.partition(".")[0] for other in known), "base"])
    shown = shorten(format_value(name))
    return f"{shown} is not a setting" + (f"; did you mean {elsewhere[0]}?" if elsewhere else near)


def did_you_mean(word: Any, names: Iterable[str]) -> str:
    """Return "; did you mean X?" with the nearest of the names, or nothing where none is near."""
    near = difflib.get_close_matches(str(word)[:200], list(names), n=1)
    return f"; did you mean {near[0]}?" if near else ""
