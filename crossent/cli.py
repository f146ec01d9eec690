"""The edge of every command: errors become one line on standard error and an exit status."""

import io
import os
import sys
from collections.abc import Callable, Sequence

from crossent.errors import EXIT_DONE, EXIT_USER, UserError

EXIT_CTRL_C = 130


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


def refuse_strangers(unknown: Sequence[str], overrides: Sequence[str]) -> None:
    """Raise UserError for what is no option and no setting, with what was probably meant."""
    for word in unknown:
        from crossent.config import Settings

        key, _, value = word.lstrip("-").replace("-", "_").partition("=")
        fields = Settings.model_fields
        names = [
            f"{s}.{n}" for s in fields for n in getattr(fields[s].annotation, "model_fields", ())
        ]
        name = next((n for n in [*fields, *names] if key in (n, n.rpartition(".")[2])), None)
        value = value or next(iter(overrides), "...")
        hint = f"; did you mean {name}={value}?" if name else "; see --help"
        raise UserError(f"{word} is not an option{hint}")
    for word in overrides:
        if "=" not in word and word.endswith((".yaml", ".yml")):
            raise UserError(f"{word} is not a setting; did you mean -c {word}?")
