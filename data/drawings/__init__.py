"""A data set without a download: dogs, foxes and wolves, drawn from a seed."""

from data.drawings.scene import draw, label
from data.drawings.source import load_drawings
from data.drawings.species import CLASS_NAMES

__all__ = ["CLASS_NAMES", "draw", "label", "load_drawings"]
