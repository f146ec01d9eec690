"""Settings: what may be set, where the values come from, and how they are shown."""

from crossent.config.load import differences, format_value, load_settings, saved_settings, to_yaml
from crossent.config.settings import FIELDS, Settings, flat_values, with_values

__all__ = [
    "FIELDS", "Settings", "differences", "flat_values", "format_value", "load_settings",
    "saved_settings", "to_yaml", "with_values",
]  # fmt: skip
