"""Errors that are the user's to mend, and the exit statuses of every command."""

EXIT_DONE = 0
EXIT_LOST = 1  # another process of the run is gone or hangs
EXIT_USER = 2  # the user's mistake: one line, no traceback
EXIT_NOT_FINITE = 3  # training stopped because a number was not finite


class UserError(ValueError):
    """Something the user can put right; the command prints the message and exits with 2."""
