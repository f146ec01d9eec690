"""crossent: a small trainer for image classifiers, with the cross-entropy written out by hand.

from crossent import CrossEntropyLoss, cross_entropy    the loss, in a loop of your own
crossent.load("runs/mine").predict("fox.jpg").label     a trained model
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossent.inference.predict import load
    from crossent.loss import CrossEntropyLoss, cross_entropy

__all__ = ["CrossEntropyLoss", "cross_entropy", "load"]


def __getattr__(name: str) -> Any:
    """Import torch only when it is needed, so that `--help` answers at once (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "crossent.inference.predict" if name == "load" else "crossent.loss"
    return getattr(import_module(home), name)
