"""Settings as text: for a person, for a run's config.yaml, and what differs between two."""

from collections.abc import Mapping

from crossent.config.load import Loaded
from crossent.config.settings import FIELDS, Settings, flat_values
from crossent.config.yaml_text import format_value

MAX_ALIGNED = 44  # a long path must not push every comment off the screen


def to_yaml(settings: Settings) -> str:
    """Write every setting; read with -c, the text gives the same settings again.

    Example:
        >>> to_yaml(Settings()).splitlines()[:3]
        ['seed: 0', 'data:', '  source: drawings']
    """
    return yaml_lines(flat_values(settings))


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
    return yaml_lines(flat_values(loaded.settings), comments)


def differences(a: Settings, b: Settings) -> list[str]:
    """Return one line per setting that differs: "optim.lr: 0.1 -> 0.2"."""
    old, new = flat_values(a), flat_values(b)
    return [
        f"{name}: {format_value(old[name])} -> {format_value(new[name])}"
        for name in FIELDS
        if old[name] != new[name]
    ]


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
