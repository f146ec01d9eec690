"""A user's mistakes in words: what was expected, what came, and the nearest name there is."""

import difflib
import re
import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from crossent.config.scalars import MAX_SHOWN, format_value, shorten
from crossent.config.schema import FIELDS, SECTIONS

BOUND_WORDS = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}


def did_you_mean(word: Any, names: Sequence[str]) -> str:
    """Give "; did you mean X?" with the nearest of the names, or nothing where none is near."""
    if not isinstance(word, str) or len(word) > MAX_SHOWN:  # difflib takes long over long words
        return ""
    near = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def unknown_name(name: str) -> str:
    """Say that a name is no setting: a typing error, another section's, or a section's own name.

    Example:
        >>> unknown_name("train.lr")
        'train.lr is not a setting; did you mean optim.lr?'
    """
    if name in SECTIONS:
        first = next(iter(SECTIONS[name].model_fields))
        return f"{name} is a section, not a value; its settings stand below it, as {name}.{first}"
    if name == "base":
        return "base can only stand in a file; on the command line use -c"
    key = name.rpartition(".")[2]
    elsewhere = [known for known in FIELDS if known.rpartition(".")[2] == key]
    hint = f"; did you mean {elsewhere[0]}?" if elsewhere else ""
    hint = hint or did_you_mean(name, [*FIELDS, *SECTIONS, "base"])
    shown = shorten(name) if re.fullmatch(r"[\w.-]+", name) else f"'{shorten(name)}'"
    return f"{shown} is not a setting{hint}"


def wrong_value(name: str, value: Any, field: FieldInfo | None = None) -> str:
    """Say what a setting must be, and what it was given.

    Args:
        field: where its type is written, if it is none of `FIELDS`.

    Example:
        >>> wrong_value("optim.lr", "abc")
        "optim.lr must be a number above 0; got 'abc'"
    """
    field = field or FIELDS[name]
    expected = expectation(field.annotation, field.metadata)
    hint = did_you_mean(value, list(_choices(field.annotation)))
    return f"{name} must be {expected}; got {show(value)}{hint or _quotes_hint(expected, value)}"


def wrong_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Say which words a setting takes, and what it was given."""
    return f"{name} must be {_either(choices)}; got {show(value)}{did_you_mean(value, choices)}"


def show(value: Any) -> str:
    """Write a value as the user may have written it, in few characters."""
    if isinstance(value, str):
        return f"'{shorten(value)}'"
    return shorten(format_value(value))


def expectation(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Put a type of the schema and its bounds into words, so that they are written only there.

    Example:
        >>> expectation(int | None, FIELDS["train.threads"].metadata)
        'a whole number from 1 to 1024 or null'
    """
    return _either(list(_alternatives(annotation, metadata)))


def _alternatives(annotation: Any, metadata: Sequence[Any]) -> Iterator[str]:
    origin = get_origin(annotation)
    if origin is Literal:
        yield from get_args(annotation)
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _alternatives(member, metadata)
    elif origin is Annotated:
        inner, *metadata = get_args(annotation)
        yield from _alternatives(inner, metadata)
    elif origin is tuple:
        (item,) = _alternatives(get_args(annotation)[0], ())
        yield f"a list, each item {item}"
    else:
        yield _simple(annotation, metadata)


def _simple(kind: type, metadata: Sequence[Any]) -> str:
    if kind is bool:
        return "true or false"
    if kind is int:
        return f"a whole number{_bounds(metadata)}"
    if kind is float:
        return f"a number{_bounds(metadata)}"
    if kind is str:
        examples = [m.examples[0] for m in metadata if isinstance(m, FieldInfo) and m.examples]
        return f"text such as {examples[0]}" if examples else "text"
    assert kind is types.NoneType, kind
    return "null"


def _bounds(metadata: Sequence[Any]) -> str:
    """Put Ge(16) and Le(512) into words; an Annotated alias has them inside its own Field."""
    items = [i for m in metadata for i in (m.metadata if isinstance(m, FieldInfo) else [m])]
    limits = {k: getattr(i, k) for i in items for k in BOUND_WORDS if hasattr(i, k)}
    if limits.keys() == {"ge", "le"}:
        return f" from {limits['ge']} to {limits['le']}"
    words = [f"{BOUND_WORDS[k]} {limit}" for k, limit in limits.items()]
    return " " + " and ".join(words) if words else ""


def _choices(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _choices(member)


def _either(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _quotes_hint(expected: str, value: Any) -> str:
    is_number = isinstance(value, int | float)
    return "; put it in quotes" if is_number and expected.startswith("text") else ""
