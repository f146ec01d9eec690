"""crossent: a small trainer for image classifiers, with the cross-entropy written out by hand.

from crossent import CrossEntropyLoss, cross_entropy    the loss, in a loop of your own
crossent.load("runs/mine").predict("fox.jpg").label     a trained model
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossent.inference.predict import load
    from crossent.loss import CrossEntropyLoss, cross_entropy

__all__ = ["CrossEntropyLoss", "cross_entropy", "load"]


def __getattr__(name: str) -> Any:
    """Import torch only when it is needed, so that `--help` answers at once (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "load":
        from crossent.inference import predict

        return predict.load
    from crossent import loss

    return getattr(loss, name)
