"""python -m crossent COMMAND: everything but training itself, which is train.py."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from crossent.cli import run_main

# Each is a module of crossent.commands with add_arguments(parser) and run(args) -> exit status.
COMMANDS = {
    "evaluate": "measure a trained model on its validation pictures or on another folder",
    "compare": "tell which of several runs is better, if one can tell",
    "sweep": "try settings, many runs at once or one after the other, and tell which matter",
    "report": "write report.html of a run: everything about it on one page",
    "predict": "name what is on pictures",
    "doctor": "look at every picture before training: what cannot be used, what is odd, what leaks",
    "check": "tell a broken pipeline from a hard problem, by three controls, before training",
    "cache": "list the decoded pictures kept on the disk, or remove them",
    "verify-resume": "kill a training at random moments and see it end in the same bytes",
    "export": "write a trained model as ONNX or .pt2, with the preprocessing inside",
    "demo": "a page in the browser to try a model on (pip install -r requirements-demo.txt)",
    "explain": "the derivation of E step by step: the article's example, or a picture of yours",
}


def make_parser(command: str | None) -> argparse.ArgumentParser:
    """A parser that knows every command by name, but has imported only the one in use."""
    parser = argparse.ArgumentParser(prog="python -m crossent", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text)
        if name == command:
            module = importlib.import_module(f"crossent.commands.{name.replace('-', '_')}")
            module.add_arguments(subparser)
            subparser.set_defaults(call=module.run)
    return parser


def main(arguments: Sequence[str]) -> int:
    command = next((a for a in arguments if not a.startswith("-")), None)
    args = make_parser(command).parse_args(arguments)
    status: int = args.call(args)
    return status


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
