"""python -m crossent COMMAND: everything but training itself, which is train.py."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from crossent.cli import run_main

PROGRAM = "python -m crossent"
# Each is a module of crossent.commands with add_arguments(parser) and run(args) -> exit status.
COMMANDS = {
    "evaluate": "measure a trained model on its validation pictures or on another folder",
    "compare": "tell which of several runs is better, if one can tell",
    "sweep": "try settings, run after run, and show which are better",
    "report": "write report.html of a run: everything about it on one page",
    "predict": "name what is on pictures",
    "doctor": "look at every picture before training: what cannot be used, what is odd, what leaks",
    "check": "tell a broken pipeline from a hard problem, by three controls, before training",
    "verify-resume": "kill a training at random moments and see it end in the same bytes",
    "export": "write a trained model as ONNX, with the preprocessing inside",
    "demo": "a page in the browser to try a model on (`make demo RUN=...` installs it)",
    "explain": "the derivation of E step by step: the article's example, or a picture of yours",
}


def overview() -> argparse.ArgumentParser:
    """A parser that knows every command by name, and imports none."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        subparsers.add_parser(name, help=text)
    return parser


def main(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        parser = overview()
        parser.parse_args(arguments)  # ends here for --help, and for anything but a command
        parser.error("the COMMAND comes first")
    name, *words = arguments
    module = importlib.import_module(f"crossent.commands.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} {name}", description=COMMANDS[name])
    module.add_arguments(parser)
    # so that options may stand between the others: explain RUN --label fox IMAGE
    status: int = module.run(parser.parse_intermixed_args(words))
    return status


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
