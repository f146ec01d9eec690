"""Exit statuses, the error for a user's mistake, and the function that runs a command."""

import io
import os
import sys
from collections.abc import Callable, Sequence

from data import DataError

EXIT_DONE = 0
EXIT_LOST = 1  # another process of the run has ended or hangs
EXIT_USER = 2  # the user's mistake: one line, no traceback
EXIT_NOT_FINITE = 3  # training stopped because a number was not finite
EXIT_CTRL_C = 130
# A mistake that the user can correct. It is defined in `data`, which must not import crossent.
UserError = DataError


def run_main(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Call `main` and return the exit status; print the user's mistake as one sentence."""
    # Set this before torch is imported. Its OpenMP threads then spin for some 0.1 ms before they
    # sleep, longer than most pauses between two operations of a step. Sleeping at once makes a step
    # a fifth slower; the default, 30 times as many spins, takes the cores from other processes.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may not show Japanese
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return main(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER
    except BrokenPipeError:
        discard_output()
        return EXIT_DONE
    except OSError as error:
        if not error.filename:  # a mistake in the program
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return EXIT_CTRL_C


def discard_output() -> None:
    """Discard further output, because the reader of a pipe, such as head, has ended."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
