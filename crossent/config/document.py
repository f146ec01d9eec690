"""A YAML text as plain values, the line of each key, and what in it is refused.

PyYAML's loader parses; the values are made here. Nothing is constructed from tags, no alias is
followed, and depth and size are bounded, so that no text can run code or take long.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from crossent.config.scalars import parse_scalar, shorten

MAX_BYTES = 100_000  # a config has some 2,000; PyYAML takes about a second for this many
MAX_DEPTH = 20  # a config has 3
MAX_KEYS = 500  # a config has some 50
REFUSED = "is refused: a config holds plain values, no tags, anchors or aliases"


@dataclass(frozen=True)
class Problem:
    """Something in the text that is refused."""

    line: int
    text: str


@dataclass
class Document:
    """What a text says.

    `lines` is the line of each key, by its dotted path: {"optim": 3, "optim.lr": 4}.
    """

    value: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_document(content: bytes) -> Document:
    """Read one YAML document; mistakes are noted, not raised, so that all are told at once.

    Args:
        content: the text as it stands in a file, UTF-8.

    Returns:
        its value, or as much as can be read of it, the lines of its keys, and its problems.

    Example:
        >>> read_document(b"optim:\\n  lr: 1e-3").value
        {'optim': {'lr': 0.001}}
    """
    document = Document()
    try:
        node = _parse(content)
        document.value = None if node is None else _value(node, "", document)
    except _Unreadable as error:
        document.problems.append(error.problem)
    return document


class _Unreadable(Exception):
    """The rest of the text cannot be read."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(line, text)


class _Composer(yaml.SafeLoader):
    """PyYAML's parser, as far as nodes; it stops at what could run code, or grow."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        line = event.start_mark.line + 1
        if event.anchor is not None:
            mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
            raise _Unreadable(line, f"{mark}{shorten(event.anchor)} {REFUSED}")
        if getattr(event, "tag", None) is not None:  # an alias has none
            raise _Unreadable(line, f"the tag {shorten(event.tag)} {REFUSED}")
        if self.depth == MAX_DEPTH:
            raise _Unreadable(line, f"is nested deeper than {MAX_DEPTH} levels; a config needs 3")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _parse(content: bytes) -> yaml.Node | None:
    if len(content) > MAX_BYTES:
        raise _Unreadable(1, f"is larger than {MAX_BYTES // 1000} kB, too large for a config")
    text = _decode(content)
    try:
        composer = _Composer(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = f"U+{ord(text[error.position]):04X}"
        raise _Unreadable(line, f"holds the character {code}, which YAML does not allow") from None
    try:
        return composer.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _Unreadable(mark.line + 1 if mark else 1, _syntax_text(error)) from None
    except (ValueError, OverflowError):
        # PyYAML lets these pass from int() and chr(): "%YAML 1.999...", "\U99999999".
        raise _Unreadable(composer.line + 1, "is not valid YAML: a number out of range") from None


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise _Unreadable(
            line, f"is not UTF-8 text (byte 0x{byte:02X}); save it as UTF-8"
        ) from None


def _syntax_text(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be parsed"
    if "'\\t'" in problem:
        return "a tab stands where YAML wants spaces"
    if isinstance(error, yaml.composer.ComposerError):
        return "a second document (---) begins here; a config is one document"
    return f"is not valid YAML: {shorten(problem, 200)}"


def _value(node: yaml.Node, path: str, document: Document) -> Any:
    if isinstance(node, yaml.MappingNode):
        items = _items(node, path, document)
        return {key: _value(value, f"{path}{key}.", document) for key, value in items}
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, path, document) for item in node.value]
    assert isinstance(node, yaml.ScalarNode), node
    if node.style is not None:  # in quotes, or a block of text
        return node.value
    try:
        return parse_scalar(node.value)
    except ValueError as error:
        document.problems.append(Problem(node.start_mark.line + 1, str(error)))
        return None


def _items(
    node: yaml.MappingNode, path: str, document: Document
) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the keys of one mapping that may stay, with their values; note the lines of them."""
    first_line: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        problem = _key_problem(key_node, path, first_line)
        if problem is not None:
            document.problems.append(Problem(line, problem))
            continue
        key = key_node.value
        first_line[key] = document.lines[path + key] = line
        if len(document.lines) > MAX_KEYS:
            raise _Unreadable(line, f"holds more than {MAX_KEYS} keys; a config needs some 50")
        yield key, value_node


def _key_problem(key_node: yaml.Node, path: str, first_line: dict[str, int]) -> str | None:
    if not isinstance(key_node, yaml.ScalarNode):
        return "a key must be a word"
    key, name = key_node.value, shorten(path + key_node.value)
    if key == "<<" and key_node.style is None:
        return "the merge key << is refused; start from another file with base:"
    if key in first_line:
        return f"{name} is given twice, first in line {first_line[key]}"
    if "." in key:
        return f"{name} is for the command line; in a file, write the section and the key below it"
    return None
