"""What one place gives, a file or the command line: values by dotted name, and their origin."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossent.config.document import MAX_BYTES, Document, read_document
from crossent.config.mistakes import did_you_mean
from crossent.config.scalars import parse_scalar, shorten
from crossent.config.schema import SECTIONS

MAX_PATH = 4096  # characters; Linux takes no longer one


@dataclass(frozen=True)
class Given:
    """A value and who gave it: "configs/photos.yaml:14" or "argument optim.lr=0.1"."""

    value: Any
    origin: str


Layer = dict[str, Given]


def file_layers(config: str, mistakes: list[str]) -> list[Layer]:
    """Read a config and the files it starts from.

    Args:
        config: path of the file.
        mistakes: a line is added for each thing that is wrong.

    Returns:
        a layer a file, the most basic first; later ones have the last word.
    """
    layers: list[Layer] = []
    seen: set[str] = set()
    path: str | None = config
    asked_by = ""  # "configs/fox.yaml:1: base: ", the place to mend if the file cannot be read
    while path is not None:
        content = _read_file(path, asked_by, mistakes)
        if content is None:
            break
        if os.path.realpath(path) in seen:
            mistakes.append(
                f"{asked_by}{_shown(path)} starts from itself; remove one base of the circle"
            )
            break
        seen.add(os.path.realpath(path))
        layer = _file_layer(content, _shown(path), mistakes)
        base = layer.pop("base", None)
        layers.insert(0, layer)
        path = None if base is None else _base_path(base, path, mistakes)
        asked_by = "" if base is None else f"{base.origin}: base: "
    return layers


def argument_layer(overrides: Sequence[str], mistakes: list[str]) -> Layer:
    """Read `section.key=value` arguments; of a repeated one the last counts, as in a shell.

    Args:
        overrides: the arguments.
        mistakes: a line is added for each thing that is wrong.
    """
    layer: Layer = {}
    for argument in overrides:
        origin = f"argument {shorten(argument, 100)}"
        name, equals, text = (part.strip() for part in argument.partition("="))
        if not (name and equals):
            mistakes.append(f"{origin}: expected section.key=value, such as optim.lr=0.1")
        elif not text:
            mistakes.append(f"{origin}: a value is missing after =; null is written null")
        else:
            value, problem = _argument_value(text)
            if problem is None:
                layer[name] = Given(value, origin)
            else:
                mistakes.append(f"{origin}: {problem}")
    return layer


def _read_file(path: str, asked_by: str, mistakes: list[str]) -> bytes | None:
    if not os.path.isfile(path):  # nor a pipe, which could keep us waiting
        what = "is not a file" if os.path.exists(path) else "does not exist"
        mistakes.append(f"{asked_by}{_shown(path)} {what}{_neighbour(path)}")
        return None
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        mistakes.append(f"{asked_by}{_shown(path)} cannot be read: {error.strerror}")
        return None


def _shown(path: str) -> str:
    return shorten(path, MAX_PATH) or "''"


def _neighbour(path: str) -> str:
    folder = Path(path).parent
    names = [str(file) for file in folder.glob("*.yaml")] if os.path.isdir(folder) else []
    return did_you_mean(path, names)


def _file_layer(content: bytes, path: str, mistakes: list[str]) -> Layer:
    document = read_document(content)
    mistakes.extend(f"{path}:{problem.line}: {problem.text}" for problem in document.problems)
    if document.value is None:  # an empty file says nothing, and that is fine
        return {}
    if not isinstance(document.value, dict):
        mistakes.append(f"{path}:1: expected settings such as seed: 1, a key and a value a line")
        return {}
    # A line that was refused says no more: what is left of its value would only mislead.
    refused = {f"{path}:{problem.line}" for problem in document.problems}
    layer = _flatten(document, path)
    return {name: given for name, given in layer.items() if given.origin not in refused}


def _flatten(document: Document, path: str) -> Layer:
    layer: Layer = {}
    for key, value in document.value.items():
        is_section = key in SECTIONS and (value is None or isinstance(value, dict))
        # A section whose lines are all commented out is None to YAML, and says nothing.
        items = {f"{key}.{k}": v for k, v in (value or {}).items()} if is_section else {key: value}
        for name, item in items.items():
            layer[name] = Given(item, f"{path}:{document.lines[name]}")
    return layer


def _base_path(base: Given, path: str, mistakes: list[str]) -> str | None:
    """Give the path of the base, which is relative to the file that names it."""
    if not isinstance(base.value, str) or not base.value:
        mistakes.append(f"{base.origin}: base must be the path of another config")
        return None
    return os.path.join(os.path.dirname(path), os.path.expanduser(base.value))


def _argument_value(text: str) -> tuple[Any, str | None]:
    """Give the value and what is wrong with it. A path may hold `: ` or ` #`, so only text that
    starts like a list, a mapping or quotes is YAML; all other is one word."""
    if text[0] in "[{\"'":
        document = read_document(text.encode("utf-8", "surrogatepass"))
        return document.value, next((problem.text for problem in document.problems), None)
    try:
        return parse_scalar(text), None
    except ValueError as error:
        return None, str(error)
