"""YAML in both directions: a text as plain values that know their lines, and a value as text.

PyYAML reads and writes, with the words of YAML 1.2. Tags, anchors and aliases are refused, and size
and depth are bounded: no text can run code or take long.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import yaml

MAX_CHARS = 100_000  # a config has some 2,000; PyYAML takes about a second for this many
MAX_DEPTH = 20  # a config has 3
MAX_SHOWN = 60  # characters of something the user wrote, in a message
MAX_ALIGNED = 44  # a long path must not push every comment off the screen

# The core schema of YAML 1.2 (chapter 10.3.2), not PyYAML's 1.1: there `no` is a boolean,
# `1e-3` a string and `12:30` the number 750. More digits than any setting needs are a float.
CORE_SCHEMA = {
    "null": r"|~|null|Null|NULL",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]{1,100}|0o[0-7]{1,100}|0x[0-9a-fA-F]{1,100}",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
Problem = tuple[int, str]  # a line, and what is wrong there


class Lined(dict[str, Any]):
    """A mapping that knows the line of each key."""

    lines: dict[str, int]


def read_yaml(text: str) -> tuple[Any, list[Problem]]:
    """Read one document; return its value without what is refused, and the problems.

    Example:
        >>> read_yaml("optim:\\n  lr: 1e-3")
        ({'optim': {'lr': 0.001}}, [])
    """
    if len(text) > MAX_CHARS:
        return None, [(1, f"is larger than {MAX_CHARS // 1000} kB, too large for a config")]
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data(), loader.problems
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        words = f"the character U+{ord(text[error.position]):04X} is not allowed; save it as UTF-8"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line if mark else 0
        words = shorten(", ".join(filter(None, (error.context, error.problem))), 200)
    except (ValueError, OverflowError):  # from int() and chr(): "%YAML 1.999...", "\U99999999"
        line, words = loader.line if loader else 0, "a number is out of range"
    return None, [(line + 1, words)]


def read_word(text: str) -> bool | int | float | str | None:
    """Return the value of an unquoted YAML word: 0.001 for "1e-3"."""
    loader = _Loader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    value: bool | int | float | str | None = loader.construct_object(yaml.ScalarNode(tag, text))
    return value


def format_value(value: Any) -> str:
    """Write a value on one line of YAML, so that reading it gives the same value again.

    Example:
        >>> format_value(("1e3", 1000.0, None, True))
        "['1e3', 1000.0, null, true]"
    """
    text: str = yaml.dump(
        [value],
        Dumper=_Dumper,
        default_flow_style=True,
        allow_unicode=True,
        sort_keys=False,
        width=math.inf,
    )
    return text[1:-2]


def yaml_lines(values: Mapping[str, object], comments: Mapping[str, str] | None = None) -> str:
    """Write values by dotted name as sections, one value per line, each with its comment."""
    lines: list[str] = []
    section = ""
    for name, value in values.items():
        own_section, _, key = name.rpartition(".")
        if own_section != section:
            section = own_section
            lines.append(f"{section}:")
        text = f"{'  ' if section else ''}{key}: {format_value(value)}"
        lines.append(f"{text:<{MAX_ALIGNED}}  {comments[name]}" if comments else text)
    return "".join(f"{line}\n" for line in lines)


def shorten(text: str, limit: int = MAX_SHOWN) -> str:
    """Cut a text for one line on a terminal: no control characters, at most `limit` characters."""
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    return text if text.isprintable() else repr(text)[1:-1]


class _Loader(yaml.SafeLoader):
    """PyYAML's reader; `problems` are the keys that it left out."""

    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        super().__init__(text)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event, words = self.peek_event(), ""
        if event.anchor is not None:
            mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
            words = f"{mark}{shorten(event.anchor)} is refused: a config has no anchors or aliases"
        elif event.tag is not None:
            words = f"the tag {shorten(event.tag)} is refused: a config has plain values"
        elif len(self.states) > MAX_DEPTH:  # PyYAML's stack of what is open
            words = f"is nested deeper than {MAX_DEPTH} levels; a config needs 3"
        if words:
            raise yaml.MarkedYAMLError(problem=words, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_lined(self, node: yaml.MappingNode) -> Lined:
        found = Lined()
        found.lines = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key, str):
                problem = "a key must be a word"
            elif key in found:
                problem = f"{shorten(key)} is given twice, first in line {found.lines[key]}"
            elif "." in key:
                problem = (
                    f"{shorten(key)} is for the command line; here, write a section and its key"
                )
            else:
                found.lines[key] = line
                found[key] = self.construct_object(value_node, deep=True)
                continue
            self.problems.append((line, problem))
        return found

    def construct_int(self, node: yaml.ScalarNode) -> int:
        return int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10)


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer, without aliases and with every text on one line."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = None if text.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_lined)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)
_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(Lined, _Dumper.represent_dict)
for kind in (_Loader, _Dumper):
    kind.yaml_implicit_resolvers = {}
    for tag, words in CORE_SCHEMA.items():
        pattern = re.compile(rf"(?:{words})\Z")
        kind.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", pattern, None)
