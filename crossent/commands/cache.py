"""python -m crossent cache: the decoded pictures kept on the disk."""

import argparse

from crossent.errors import UserError
from data import cache_command
from data.cache_command import add_arguments

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    try:
        return cache_command.run(args)
    except ValueError as error:
        raise UserError(str(error)) from error
