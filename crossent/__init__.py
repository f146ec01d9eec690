"""crossent: a small trainer for image classifiers, with the cross-entropy written out by hand."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossent.loss import CrossEntropyLoss, cross_entropy

__all__ = ["CrossEntropyLoss", "cross_entropy"]


def __getattr__(name: str) -> Any:
    """Import torch only when a loss is asked for, so that `--help` answers at once (PEP 562)."""
    if name in __all__:
        from crossent import loss

        return getattr(loss, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
