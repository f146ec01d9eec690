"""Load settings from a config file, the files it starts from, and the command line.

YAML is read with the scalar types of YAML 1.2. Tags, anchors, aliases and duplicate keys are
refused, and size and depth are limited: no text can run code or take long to read.
"""

import difflib
import json
import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import ValidationError

from crossent.config.settings import FIELDS, SECTIONS, Section, Settings, flat_values, nested
from crossent.errors import UserError

DEFAULT_CONFIG = Path(__file__).resolve().parents[2] / "configs" / "default.yaml"
MAX_ALIGNED = 44  # a long path must not push every comment off the screen
MAX_CHARS = 100_000  # a config has some 2,000; PyYAML takes about a second for this many
MAX_DEPTH = 20  # a config has 3
GONE = {"data.cache", "data.on_bad"}  # settings of earlier runs, which changed no result

# The core schema of YAML 1.2 (chapter 10.3.2) without octal and hexadecimal numbers. PyYAML's own
# schema is that of YAML 1.1, where `no` is a boolean, `1e-3` a string and `12:30` the number 750.
CORE_SCHEMA = {
    "null": r"|~|null|Null|NULL",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(0|[1-9][0-9]{0,99})",  # longer numbers are floats: int() takes long for them
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
# Characters that JSON does not escape, but that YAML changes or refuses.
TO_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
Problem = tuple[int, str]  # a line, and what is wrong there
Model = TypeVar("Model", bound=Section)


class Given(NamedTuple):
    """A value and its origin: "configs/photos.yaml:14" or "argument optim.lr=0.1"."""

    value: Any
    origin: str
    rank: float  # 0 for the config, -1 for its base, and so on; 1 for an argument


class Loaded(NamedTuple):
    """The settings of a run, and where they come from."""

    settings: Settings
    origins: dict[str, str]  # by dotted name: {"optim.lr": "configs/photos.yaml:14", ...}
    kept: Collection[str]  # names with at least the rank of `model.weights`, which it cannot change


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


def saved_settings(path: str | Path, values: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings in the config.yaml of a run, or `values` from the header of a file.

    Raises:
        UserError: all mistakes in one line, with the path.
    """
    mistakes: list[str] = []
    if values is None:
        given = read_files(str(path), mistakes)
    else:
        given = {name: Given(value, str(path), 0) for name, value in flat_values(values).items()}
    for name in GONE & given.keys():
        del given[name]
    settings = check(Settings, given, mistakes)
    if mistakes:
        mistakes.append("if another version of crossent wrote it, use that version")
        raise UserError("; ".join(mistakes))
    return settings


def to_yaml(settings: Settings, origins: Mapping[str, str] = {}) -> str:
    """Return the settings as YAML, one per line; `origins` adds comments: origin and meaning."""
    lines: list[str] = []
    width = max(map(len, origins.values()), default=0)
    for name, value in flat_values(settings).items():
        section, _, key = name.rpartition(".")
        if section and f"{section}:" not in lines:
            lines.append(f"{section}:")
        text = f"{'  ' if section else ''}{key}: {format_value(value)}"
        if origins:
            text = f"{text:<{MAX_ALIGNED}}  # {origins[name]:<{width}}  {FIELDS[name].description}"
        lines.append(text)
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
                node, problems = read_yaml(file.read(MAX_CHARS + 1))
        except (OSError, ValueError) as error:  # ValueError also if the path contains NUL
            near = did_you_mean(path, [str(near) for near in Path(path).parent.glob("*.yaml")])
            reason = error.strerror if isinstance(error, OSError) else f"{error}"
            mistakes.append(f"{asked_by}{shown}: {reason}{near}")
            return given
        if isinstance(node, yaml.MappingNode):
            for name, (value, line) in values_in(node, sections).items():
                given.setdefault(name, Given(value, f"{shown}:{line}", 1 - len(seen)))
        elif node is not None:
            problems.append((1, "expected settings such as seed: 1, one key per line"))
        mistakes += [f"{shown}:{line}: {problem}" for line, problem in problems]
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


def did_you_mean(word: Any, names: Collection[str]) -> str:
    """Return "; did you mean X?" with the nearest of the names, or "" if none is near."""
    ending = [name for name in names if name.endswith(f"/{word}")]
    near = ending or difflib.get_close_matches(str(word)[:200], names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def values_in(
    node: yaml.MappingNode, sections: Collection[str], prefix: str = ""
) -> dict[str, tuple[Any, int]]:
    """Return the values of a mapping and its sections by dotted name, each with its line."""
    found: dict[str, tuple[Any, int]] = {}
    for key, value in node.value:
        name = prefix + key.value
        if name in sections and isinstance(value, yaml.MappingNode):
            found |= values_in(value, sections, f"{name}.")
        # A section whose lines are all commented out is empty, and sets nothing.
        elif name not in sections or value.value != "":
            found[name] = value_of(value), key.start_mark.line + 1
    return found


def read_argument(text: str) -> tuple[Any, list[Problem]]:
    """Return the value of an argument, and the problems.

    A path may contain `: ` or ` #`, so only a list, a mapping or a quoted text is read as YAML.
    """
    if text.startswith(("[", "{", '"', "'")):
        node, problems = read_yaml(text)
    else:
        tag = _Loader("").resolve(yaml.ScalarNode, text, (True, False))
        node, problems = yaml.ScalarNode(tag, text), []
    return node and value_of(node), problems


def read_yaml(text: str) -> tuple[yaml.Node | None, list[Problem]]:
    """Parse one document; return its node (None if it is empty or invalid) and the problems."""
    if len(text) > MAX_CHARS:
        return None, [(1, f"is larger than {MAX_CHARS // 1000} kB, too large for a config")]
    try:
        loader = _Loader(text)
        return loader.get_single_node(), loader.problems
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # some from int() and chr()
        mark = getattr(error, "problem_mark", None)
        line = mark.line if mark else text.count("\n", 0, getattr(error, "position", 0))
        words = getattr(error, "problem", None) or str(error).partition("\n")[0]
        return None, [(line + 1, shorten(words, 200))]


def value_of(node: yaml.Node) -> Any:
    return _Loader("").construct_object(node, deep=True)


def format_value(value: Any) -> str:
    """Return a value as one line of YAML: in JSON's syntax, but words without quotes.

    Example:
        >>> format_value("../photos"), format_value(("1e3", 1000.0, None, True))
        ('../photos', '["1e3", 1000.0, null, true]')
    """
    is_word = isinstance(value, str) and re.fullmatch(r"[\w./][\w./-]*", value)
    if is_word and read_argument(value)[0] == value:
        return str(value)
    text = json.dumps(value, ensure_ascii=False)
    return TO_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shorten(text: str, limit: int = 60) -> str:
    """Cut a text for one line on a terminal: no control characters, at most `limit` characters."""
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    return text if text.isprintable() else repr(text)[1:-1]


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader; it also refuses what a config does not need, and lists `problems`."""

    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        super().__init__(text)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event, words = self.peek_event(), ""
        is_key = isinstance(parent, yaml.MappingNode) and index is None
        if event.anchor is not None or event.tag is not None:
            words = "tags, anchors and aliases are refused: a config has plain values"
        elif len(self.states) > MAX_DEPTH:  # of PyYAML: one state per open collection
            words = f"is nested deeper than {MAX_DEPTH} levels; a config needs 3"
        elif is_key and not isinstance(event, yaml.ScalarEvent):
            words = "a key must be a word"
        if words:
            raise yaml.MarkedYAMLError(problem=words, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            line, words = key.start_mark.line + 1, ""
            if first.setdefault(key.value, key) is not key:
                words = f"is given twice, first in line {first[key.value].start_mark.line + 1}"
            elif "." in key.value:
                words = "is for the command line; here, write a section and its key"
            if words:
                self.problems.append((line, f"{shorten(key.value)} {words}"))
        return node


_Loader.yaml_implicit_resolvers = {}
for tag, words in CORE_SCHEMA.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{words})\Z"), None)
