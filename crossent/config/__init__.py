"""Settings: what may be set, where the values come from, and how they are shown."""

from crossent.config.load import Loaded, load_settings
from crossent.config.render import differences, render, to_yaml
from crossent.config.schema import Settings, with_values

__all__ = ["Loaded", "Settings", "differences", "load_settings", "render", "to_yaml", "with_values"]
