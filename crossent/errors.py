"""Exit statuses, the error for a user's mistake, and how a command ends."""

import io
import os
import sys
from collections.abc import Callable, Sequence

from data import DataError

EXIT_DONE = 0
EXIT_LOST = 1  # another process of the run is gone or hangs
EXIT_USER = 2  # the user's mistake: one line, no traceback
EXIT_NOT_FINITE = 3  # training stopped because a number was not finite
EXIT_CTRL_C = 130
# Something the user can put right. The package `data` raises it as well, and cannot know this one.
UserError = DataError


def run_main(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Call `main` and return the exit status; the user's mistakes end in a sentence."""
    # Before torch is imported: its threads wait for work actively for some 0.1 ms, longer than most
    # pauses between two operations of a step, and then sleep. Sleeping at once costs a fifth of the
    # speed; waiting actively for ever, the default, takes the cores from other processes.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal or pipe that cannot show Japanese
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return main(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER
    except BrokenPipeError:
        leave_reader()
        return EXIT_DONE
    except OSError as error:
        if not error.filename:  # a mistake of ours
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return EXIT_CTRL_C


def leave_reader() -> None:
    """Print into nothing from now on: the reader of a pipe, such as head, has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
