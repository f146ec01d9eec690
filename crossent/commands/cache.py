"""python -m crossent cache: the decoded pictures kept on the disk."""

from data.cache_command import add_arguments, run

__all__ = ["add_arguments", "run"]
