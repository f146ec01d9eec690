"""One value as YAML text, in both directions: what a word means, and how a value is written."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

# The core schema of YAML 1.2 (chapter 10.3.2), not PyYAML's 1.1: there `no` is a boolean,
# `1e-3` a string and `12:30` the number 750.
NULLS = {"", "~", "null", "Null", "NULL"}
BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
INTEGER = re.compile(r"[-+]?[0-9]+")
PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

MAX_NUMBER_CHARS = 100  # no setting needs more; int() itself gives up at 4,300 digits
MAX_SHOWN = 60  # characters of something the user wrote, in a message
PLAIN = re.compile(r"[A-Za-z0-9_./~][A-Za-z0-9_./~ +-]*(?<! )")  # safe in YAML without quotes


def parse_scalar(text: str) -> bool | int | float | str | None:
    """Give the value of an unquoted YAML word.

    Args:
        text: the word, without white space around it.

    Returns:
        None, a boolean, a number or, for everything else, the text itself.

    Raises:
        ValueError: the word is a number of more than 100 characters.

    Example:
        >>> parse_scalar("1e-3"), parse_scalar("no"), parse_scalar("true")
        (0.001, 'no', True)

    Source: YAML 1.2.2, 10.3.2 (core schema).
    """
    if text in NULLS:
        return None
    if text in BOOLEANS:
        return BOOLEANS[text]
    if NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    kind = next((kind for kind in (INTEGER, PREFIXED, FLOAT) if kind.fullmatch(text)), None)
    if kind is None:
        return text
    if len(text) > MAX_NUMBER_CHARS:
        raise ValueError(f"a number of {len(text):,} characters is more than a setting can hold")
    if kind is FLOAT:
        return float(text)
    return int(text, 10 if kind is INTEGER else 0)


def format_value(value: Any) -> str:
    """Write a value on one line of YAML, so that reading it gives the same value again.

    Returns:
        the text: strings in quotes only where they need them, a sequence as `[1.0, 2.0]`.

    Example:
        >>> format_value(("1e3", 1000.0, None, True))
        '["1e3", 1000.0, null, true]'
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return (
            repr(value)
            if math.isfinite(value)
            else repr(value).replace("nan", ".nan").replace("inf", ".inf")
        )
    if isinstance(value, str):
        return _format_text(value)
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{format_value(k)}: {format_value(v)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(format_value, value)) + "]"
    return str(value)


def shorten(text: str, limit: int = MAX_SHOWN) -> str:
    """Cut a text for one line on a terminal: no control characters, at most `limit` characters."""
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    return text if text.isprintable() else repr(text)[1:-1]


def _format_text(text: str) -> str:
    looks_plain = len(text) <= MAX_NUMBER_CHARS and PLAIN.fullmatch(text)
    if looks_plain and isinstance(parse_scalar(text), str):
        return text
    # PyYAML knows which characters need an escape; its own choice of quotes follows YAML 1.1.
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf)
    return quoted.rstrip("\n")
