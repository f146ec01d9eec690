"""The hand-written cross-entropy and its derivative."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossent.loss.cross_entropy import CrossEntropyLoss, cross_entropy

__all__ = ["CrossEntropyLoss", "cross_entropy"]


class _Package(ModuleType):
    """A package whose attribute `cross_entropy` is the function, never the module of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Whoever imports the module first, Python then stores it here under the function's name.
        if name == "cross_entropy" and isinstance(value, ModuleType):
            value = value.cross_entropy
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Import torch only for the loss itself: `article.py` does without it and answers at once."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("crossent.loss.cross_entropy"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
