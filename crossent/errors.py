"""Exit statuses, errors that are the user's to mend, and how a command ends with them."""

import io
import os
import sys
from collections.abc import Callable, Sequence

from data.errors import DataError

EXIT_DONE = 0
EXIT_LOST = 1  # another process of the run is gone or hangs
EXIT_USER = 2  # the user's mistake: one line, no traceback
EXIT_NOT_FINITE = 3  # training stopped because a number was not finite
EXIT_CTRL_C = 130


# Something that the user can put right: the command prints the message and exits with 2. `data`
# raises the same error and imports nothing from this package.
UserError = DataError


def run_main(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Call `main`; a user's mistake ends in a sentence, a mistake of ours in a traceback."""
    # Before torch is imported: its threads shall look out for work for some 0.1 ms, which is longer
    # than most pauses between two operations of a step, and then sleep. Never to look costs a fifth
    # of the speed; to look all the time, the default, keeps others off the core.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal or pipe that has no Japanese
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return main(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER
    except BrokenPipeError:  # the reader of a pipe, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except OSError as error:
        if not error.filename:  # no file that the user could do anything about
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return EXIT_CTRL_C
