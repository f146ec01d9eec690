"""Settings: what may be set, where the values come from, and how they are shown."""

from crossent.config.load import (
    differences,
    load_settings,
    render,
    saved_settings,
    settings_from_dict,
    to_yaml,
)
from crossent.config.settings import FIELDS, Settings, flat_values, with_values
from crossent.config.yaml_text import format_value

__all__ = [
    "FIELDS", "Settings", "differences", "flat_values", "format_value", "load_settings",
    "render", "saved_settings", "settings_from_dict", "to_yaml", "with_values",
]  # fmt: skip
