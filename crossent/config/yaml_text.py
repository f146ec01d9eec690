"""Read YAML text, with the scalar types of YAML 1.2, and write values as such text.

Tags, anchors, aliases and duplicate keys are refused, and size and depth are limited: no text can
run code or take long to read.
"""

import json
import re
from collections.abc import Collection
from typing import Any

import yaml

MAX_CHARS = 100_000  # a config has some 2,000; PyYAML takes about a second for this many
MAX_DEPTH = 20  # a config has 3

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


def read_values(
    text: str, sections: Collection[str]
) -> tuple[dict[str, tuple[Any, int]], list[Problem]]:
    """Return the values of a document by dotted name, each with its line, and the problems.

    Args:
        sections: names of the mappings whose values are settings.
    """
    found: dict[str, tuple[Any, int]] = {}

    def collect(node: yaml.Node, prefix: str) -> None:
        for key, value in node.value:
            name = prefix + key.value
            if name in sections and isinstance(value, yaml.MappingNode):
                collect(value, f"{name}.")
            # A section whose lines are all commented out is empty, and sets nothing.
            elif name not in sections or value.value != "":
                found[name] = value_of(value), key.start_mark.line + 1

    node, problems = read_yaml(text)
    if isinstance(node, yaml.MappingNode):
        collect(node, "")
    elif node is not None:
        problems.append((1, "expected settings such as seed: 1, one key per line"))
    return found, problems


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
        if event.anchor is not None or event.tag is not None:
            words = "tags, anchors and aliases are refused: a config has plain values"
        elif len(self.states) > MAX_DEPTH:  # of PyYAML: one state per open collection
            words = f"is nested deeper than {MAX_DEPTH} levels; a config needs 3"
        if words:
            raise yaml.MarkedYAMLError(problem=words, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                words = "a key must be a word"
                raise yaml.MarkedYAMLError(problem=words, problem_mark=key.start_mark)
            line, words = key.start_mark.line + 1, ""
            if key.value in lines:
                words = f"is given twice, first in line {lines[key.value]}"
            elif "." in key.value:
                words = "is for the command line; here, write a section and its key"
            if words:
                self.problems.append((line, f"{shorten(key.value)} {words}"))
            lines.setdefault(key.value, line)
        return node


_Loader.yaml_implicit_resolvers = {}
for tag, words in CORE_SCHEMA.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{words})\Z"), None)
