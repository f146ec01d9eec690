"""YAML in both directions: a text as plain values that know their lines, and a value as text.

PyYAML parses, no further than its nodes; the values are made here. Nothing is constructed from
tags, no alias is followed, and size and depth are bounded: no text can run code or take long.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

MAX_BYTES = 100_000  # a config has some 2,000; PyYAML takes about a second for this many
MAX_DEPTH = 20  # a config has 3
MAX_KEYS = 500  # of one mapping; a section has some 20
MAX_NUMBER_CHARS = 100  # no setting needs more; int() itself gives up at 4,300 digits
MAX_SHOWN = 60  # characters of something the user wrote, in a message
REFUSED = "is refused: a config holds plain values, no tags, anchors or aliases"

# The core schema of YAML 1.2 (chapter 10.3.2), not PyYAML's 1.1: there `no` is a boolean,
# `1e-3` a string and `12:30` the number 750.
CORE_SCHEMA: list[tuple[str, Callable[[str], bool | int | float | None]]] = [
    (r"|~|null|Null|NULL", lambda text: None),
    (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    (r"[-+]?[0-9]+", int),
    (r"0o[0-7]+|0x[0-9a-fA-F]+", lambda text: int(text, 0)),
    (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
    (r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", lambda text: float(text.replace(".", ""))),
]
PLAIN = r"[A-Za-z0-9_./~][A-Za-z0-9_./~ +-]*(?<! )"  # safe in YAML without quotes


class Refused(Exception):
    """Something in a text that cannot be read, and its line."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class Lined(dict[str, Any]):
    """A mapping that knows the line of each key."""

    lines: dict[str, int]


def read_yaml(content: bytes) -> tuple[Any, list[Refused]]:
    """Read one document; return as much of its value as can be read, and what is refused.

    Example:
        >>> read_yaml(b"optim:\\n  lr: 1e-3")
        ({'optim': {'lr': 0.001}}, [])
    """
    problems: list[Refused] = []
    try:
        node = _compose(content)
        return (None if node is None else _value(node, problems)), problems
    except Refused as problem:
        return None, [*problems, problem]


def parse_scalar(text: str) -> bool | int | float | str | None:
    """Return the value of an unquoted YAML word; raise ValueError if it is an endless number.

    Example:
        >>> parse_scalar("1e-3"), parse_scalar("no"), parse_scalar("true")
        (0.001, 'no', True)
    """
    for pattern, convert in CORE_SCHEMA:
        if re.fullmatch(pattern, text):
            if len(text) > MAX_NUMBER_CHARS:
                raise ValueError(f"a number of {len(text):,} characters is too long for a setting")
            return convert(text)
    return text


def format_value(value: Any) -> str:
    """Write a value on one line of YAML, so that reading it gives the same value again.

    Example:
        >>> format_value(("1e3", 1000.0, None, True))
        '["1e3", 1000.0, null, true]'
    """
    if isinstance(value, str):
        return _format_text(value)
    if isinstance(value, Mapping):
        items = (f"{format_value(key)}: {format_value(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(format_value, value)) + "]"
    text = json.dumps(value)
    return {"NaN": ".nan", "Infinity": ".inf", "-Infinity": "-.inf"}.get(text, text)


def shorten(text: str, limit: int = MAX_SHOWN) -> str:
    """Cut a text for one line on a terminal: no control characters, at most `limit` characters."""
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    return text if text.isprintable() else repr(text)[1:-1]


class _Composer(yaml.SafeLoader):
    """PyYAML's parser up to nodes, which stops at what could run code or grow."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        line = event.start_mark.line + 1
        if event.anchor is not None:
            mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
            raise Refused(line, f"{mark}{shorten(event.anchor)} {REFUSED}")
        if getattr(event, "tag", None) is not None:  # an alias has none
            raise Refused(line, f"the tag {shorten(event.tag)} {REFUSED}")
        if self.depth == MAX_DEPTH:
            raise Refused(line, f"is nested deeper than {MAX_DEPTH} levels; a config needs 3")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(content: bytes) -> yaml.Node | None:
    if len(content) > MAX_BYTES:
        raise Refused(1, f"is larger than {MAX_BYTES // 1000} kB, too large for a config")
    try:
        text = content.decode()
        composer = _Composer(text)
        return composer.get_single_node()
    except UnicodeDecodeError as error:
        line, words = content.count(b"\n", 0, error.start), "not UTF-8; save it as UTF-8"
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        words = f"the character U+{ord(text[error.position]):04X} is not allowed"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line if mark else 0
        words = shorten(", ".join(filter(None, (error.context, error.problem))), 200)
    except (ValueError, OverflowError):  # from int() and chr(): "%YAML 1.999...", "\U99999999"
        line, words = composer.line, "a number is out of range"
    raise Refused(line + 1, f"is not YAML: {words}")


def _value(node: Any, problems: list[Refused]) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, problems) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, problems)
    if node.style is not None:  # in quotes, or a block of text
        return node.value
    try:
        return parse_scalar(node.value)
    except ValueError as error:
        raise Refused(node.start_mark.line + 1, str(error)) from None


def _mapping(node: yaml.MappingNode, problems: list[Refused]) -> Lined:
    """Read the keys that may stay; a refused value takes its key with it, and says why."""
    found = Lined()
    found.lines = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if len(found.lines) == MAX_KEYS:
            raise Refused(line, f"holds more than {MAX_KEYS} keys; a section has some 20")
        try:
            key = _key(key_node, found.lines)
            found.lines[key] = line
            found[key] = _value(value_node, problems)
        except Refused as problem:
            problems.append(problem)
    return found


def _key(node: Any, lines: Mapping[str, int]) -> str:
    line, key = node.start_mark.line + 1, node.value
    if not isinstance(key, str):
        raise Refused(line, "a key must be a word")
    if key == "<<" and node.style is None:
        raise Refused(line, "the merge key << is refused; start from another file with base:")
    if key in lines:
        raise Refused(line, f"{shorten(key)} is given twice, first in line {lines[key]}")
    if "." in key:
        words = "is for the command line; in a file, write the section and the key below it"
        raise Refused(line, f"{shorten(key)} {words}")
    return key


def _format_text(text: str) -> str:
    looks_plain = len(text) <= MAX_NUMBER_CHARS and re.fullmatch(PLAIN, text)
    if looks_plain and isinstance(parse_scalar(text), str):
        return text
    # PyYAML knows which characters need an escape; its own choice of quotes follows YAML 1.1.
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf)
    return quoted.rstrip("\n")
