"""Load settings from a config file, the files it starts from, and the command line."""

import difflib
import math
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from crossent.config.settings import FIELDS, SECTIONS, Section, Settings, flat, flat_values, nested
from crossent.config.yaml_text import MAX_CHARS, format_value, read_argument, read_values, shorten
from crossent.errors import UserError

DEFAULT_CONFIG = Path(__file__).resolve().parents[2] / "configs" / "default.yaml"
MAX_ALIGNED = 44  # a long path must not push every comment off the screen
OF_ANOTHER_VERSION = "; if another version of crossent wrote it, use that version"

Model = TypeVar("Model", bound=Section)


class Given(NamedTuple):
    """A value and its origin: "configs/photos.yaml:14" or "argument optim.lr=0.1"."""

    value: Any
    origin: str
    rank: float  # 0 for the config, -1 for its base, and so on; 1 for an argument


class Loaded(NamedTuple):
    """The settings of a run, and the origin of each value.

    `origins` has every dotted name: {"optim.lr": "configs/photos.yaml:14", "seed": "default"}.
    `kept` names the settings with at least the rank of `model.weights`: they override what the
    weights need.
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
        given = {name: Given(value, "the run", 0) for name, value in flat_values(config).items()}
    else:
        default = min(str(DEFAULT_CONFIG), os.path.relpath(DEFAULT_CONFIG), key=len)
        given = read_files(str(config or default), mistakes)
    add_arguments(given, overrides, mistakes)
    settings = check(Settings, given, mistakes)
    if mistakes:
        raise UserError("\n".join(mistakes))
    origins = {name: given[name].origin if name in given else "default" for name in FIELDS}
    weights = given.get("model.weights")
    kept = {name for name in given if weights is None or given[name].rank >= weights.rank}
    return Loaded(settings, origins, kept)


def saved_settings(path: Path) -> Settings:
    """Return the settings in the config.yaml of a run; a UserError has all mistakes in one line."""
    try:
        return load_settings(path).settings
    except UserError as error:
        raise UserError("; ".join(str(error).splitlines()) + OF_ANOTHER_VERSION) from None


def settings_from_dict(values: Mapping[str, Any], where: str | Path) -> Settings:
    """Return the settings in a checkpoint or a model file; `where` names it in a UserError."""
    mistakes: list[str] = []
    given = {name: Given(value, str(where), 0) for name, value in flat(values).items()}
    settings = check(Settings, given, mistakes)
    if mistakes:
        raise UserError("; ".join(mistakes) + OF_ANOTHER_VERSION)
    return settings


def render(loaded: Loaded) -> str:
    """Return every setting, with its origin and meaning as comments, for --print-config."""
    width = max(map(len, loaded.origins.values()))
    comments = {n: f"# {o:<{width}}  {FIELDS[n].description}" for n, o in loaded.origins.items()}
    return to_yaml(loaded.settings, comments)


def to_yaml(values: Settings | Mapping[str, Any], comments: Mapping[str, str] | None = None) -> str:
    """Return settings, or values by dotted name, as YAML: one per line, each with its comment."""
    lines: list[str] = []
    flat = flat_values(values) if isinstance(values, Settings) else values
    for name, value in flat.items():
        section, _, key = name.rpartition(".")
        if section and f"{section}:" not in lines:
            lines.append(f"{section}:")
        text = f"{'  ' if section else ''}{key}: {format_value(value)}"
        lines.append(f"{text:<{MAX_ALIGNED}}  {comments[name]}" if comments else text)
    return "".join(f"{line}\n" for line in lines)


def differences(a: Settings, b: Settings) -> list[str]:
    """Return one line per setting that differs: "optim.lr: 0.1 -> 0.2"."""
    old, new = flat_values(a), flat_values(b)
    changed = [name for name in FIELDS if old[name] != new[name]]
    return [f"{name}: {format_value(old[name])} -> {format_value(new[name])}" for name in changed]


def read_files(
    path: str, mistakes: list[str], sections: Collection[str] = SECTIONS
) -> dict[str, Given]:
    """Return the values of a config and of its chain of `base` files, by dotted name.

    One line per mistake is added to `mistakes`; `sections` names the mappings of settings.
    """
    given: dict[str, Given] = {}
    seen: list[str] = []
    asked_by = ""  # the line that names the file, such as "fox.yaml:1: base: "
    while True:
        shown = shorten(path, 4096)  # the longest path on Linux
        try:
            if os.path.realpath(path) in seen:
                raise ValueError("starts from itself; remove one of these `base` lines")
            seen.append(os.path.realpath(path))
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                found, problems = read_values(file.read(MAX_CHARS + 1), sections)
        except (OSError, ValueError) as error:  # ValueError also if the path contains NUL
            near = did_you_mean(path, map(str, Path(path).parent.glob("*.yaml")))
            reason = error.strerror if isinstance(error, OSError) else f"{error}"
            mistakes.append(f"{asked_by}{shown}: {reason}{near}")
            return given
        mistakes += [f"{shown}:{line}: {problem}" for line, problem in problems]
        for name, (value, line) in found.items():
            given.setdefault(name, Given(value, f"{shown}:{line}", 1 - len(seen)))
        base = given.pop("base", None)
        if base is None:
            return given
        asked_by = f"{base.origin}: base: "
        path = os.path.join(os.path.dirname(path), os.path.expanduser(str(base.value)))


def add_arguments(given: dict[str, Given], overrides: Sequence[str], mistakes: list[str]) -> None:
    """Add the values of `section.key=value` arguments; of two with one name the last one counts.

    Where data.root or data.labels is given later than the source, drawings become a folder.
    """
    for argument in overrides:
        origin = f"argument {shorten(argument, 100)}"
        name, _, text = (part.strip() for part in argument.partition("="))
        value, problems = read_argument(text)
        if not (name and text):
            problems = [(1, "expected section.key=value, such as optim.lr=0.1; for no value: null")]
        if problems:
            mistakes.append(f"{origin}: {problems[0][1]}")
        else:
            given[name] = Given(value, origin, 1)
    source = given.get("data.source", Given("drawings", "default", -math.inf))
    for name in ("data.root", "data.labels"):
        path = given.get(name, source)
        if source.value == "drawings" and path.rank > source.rank and path.value is not None:
            given["data.source"] = path._replace(value="folder")


def check(model: type[Model], given: Mapping[str, Given], mistakes: list[str]) -> Model:
    """Return the validated model; add one line per mistake, with its origin."""
    settings = model()  # the defaults, for a model with mistakes
    known = list(flat_values(settings))
    wrong = {name: unknown_name(name, known) for name in given if name not in known}
    try:
        values = {name: given[name].value for name in known if name in given}
        settings = model.model_validate(nested(values))
    except ValidationError as error:
        for item in error.errors(include_url=False):
            name, text = ".".join(map(str, item["loc"][:2])), item["msg"]
            expected = text.partition(" should be ")[2]  # "Input should be a valid number"
            if expected:
                near = did_you_mean(item["input"], re.findall("'([^']+)'", expected))
                got = shorten(repr(item["input"]))
                wrong[name] = f"{name} must be {expected}; got {got}{near}"
            else:  # contradictions: one line each, which begins with a name
                lines = text.removeprefix("Value error, ").split("\n")
                wrong |= {line.partition(" ")[0]: line for line in lines}
    for name in sorted(wrong, key=list(given).index):
        mistakes.append(f"{given[name].origin}: {wrong[name]}")
    return settings


def unknown_name(name: str, known: Sequence[str]) -> str:
    """Return what is wrong with a name: misspelt, in the wrong section, or itself a section."""
    inside = [other for other in known if other.startswith(f"{name}.")]
    if inside:
        return f"{name} is a section, not a value; write its settings below it, such as {inside[0]}"
    key = name.rpartition(".")[2]
    elsewhere = [f"; did you mean {other}?" for other in known if other.split(".")[-1] == key]
    near = elsewhere or [did_you_mean(name, [*known, *SECTIONS, "base"])]
    return f"{shorten(name)} is not a setting{near[0]}"


def did_you_mean(word: Any, names: Iterable[str]) -> str:
    """Return "; did you mean X?" with the nearest of the names, or "" if none is near."""
    names = list(names)
    ending = [name for name in names if name.endswith(f"/{word}")]
    near = ending or difflib.get_close_matches(str(word)[:200], names, n=1)
    return f"; did you mean {near[0]}?" if near else ""
