"""Settings as text: for a person, for a run's config.yaml, and what differs between two."""

from collections.abc import Mapping

from crossent.config.load import Loaded
from crossent.config.scalars import format_value
from crossent.config.schema import FIELDS, Settings, flat_values

MAX_ALIGNED = 44  # a long path must not push every comment off the screen


def to_yaml(settings: Settings) -> str:
    """Write every setting; read with -c, the text gives the same settings again.

    Example:
        >>> to_yaml(Settings()).splitlines()[:3]
        ['seed: 0', 'data:', '  source: drawings']
    """
    return "\n".join(_lines(flat_values(settings), {})) + "\n"


def render(loaded: Loaded) -> str:
    """Write every setting with its origin and meaning as comments, for --print-config.

    Returns:
        YAML, as `to_yaml` gives, with aligned comments.
    """
    width = max(map(len, loaded.origins.values()))
    comments = {
        name: f"# {origin:<{width}}  {FIELDS[name].description}"
        for name, origin in loaded.origins.items()
    }
    return "\n".join(_lines(flat_values(loaded.settings), comments)) + "\n"


def differences(a: Settings, b: Settings) -> list[str]:
    """Give a line a setting that differs: "optim.lr: 0.1 -> 0.2"."""
    old, new = flat_values(a), flat_values(b)
    return [
        f"{name}: {format_value(old[name])} -> {format_value(new[name])}"
        for name in FIELDS
        if old[name] != new[name]
    ]


def _lines(values: Mapping[str, object], comments: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    section = ""
    for name, value in values.items():
        own_section, _, key = name.rpartition(".")
        if own_section != section:
            section = own_section
            lines.append(f"{section}:")
        indent = "  " if section else ""
        text = f"{indent}{key}: {format_value(value)}"
        lines.append(f"{text:<{MAX_ALIGNED}}  {comments[name]}" if comments else text)
    return lines
