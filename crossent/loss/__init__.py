"""The hand-written cross-entropy and its derivative."""

from crossent.loss.cross_entropy import CrossEntropyLoss, cross_entropy

__all__ = ["CrossEntropyLoss", "cross_entropy"]
