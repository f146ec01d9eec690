"""The hand-written cross-entropy and its derivative."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossent.loss.criterion import CrossEntropyLoss, cross_entropy

__all__ = ["CrossEntropyLoss", "cross_entropy"]


def __getattr__(name: str) -> Any:
    """Import torch only for the loss itself: `article.py` does without it and answers at once."""
    if name in __all__:
        from crossent.loss import criterion

        return getattr(criterion, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
