"""Pages of one file: jinja2 such that whatever a template inserts is readable and escaped."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from crossent.training.console import duration


def make_environment() -> Environment:
    """Return the environment of all templates."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        finalize=readable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    return environment


def readable(value: object) -> object:
    """Mark what no HTML file may hold, control characters and lone surrogates, in any text."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub(
        r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", value
    )
