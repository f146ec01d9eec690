"""The edge of every command: errors become one line on standard error and an exit status."""

import os
import sys
from collections.abc import Callable, Sequence

from crossent.errors import EXIT_USER, UserError

EXIT_CTRL_C = 130


def run_main(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Call `main`; a user's mistake ends in a sentence, a mistake of ours in a traceback."""
    # Before torch is imported: its threads shall sleep while they wait for each other. Spinning,
    # the default, gains little alone, and on a busy machine keeps others off the core.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        return main(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader of a pipe, such as head, has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return EXIT_CTRL_C
