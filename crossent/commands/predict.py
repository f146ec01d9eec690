"""python -m crossent predict RUN PATH... [--json | --csv] [--top K] [--accuracy A]"""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder or a model file")
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="pictures, folders of them, patterns in quotes, or - for a list on standard input",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object per picture")
    form.add_argument("--csv", action="store_true", help="print a table for a spreadsheet")
    parser.add_argument("--top", type=int, default=3, metavar="K", help="classes to show")
    parser.add_argument(
        "--accuracy",
        type=float,
        metavar="A",
        help='say "not sure" where predictions were correct less often than this on validation',
    )
    parser.add_argument("--strict", action="store_true", help="stop at a file that is no picture")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")


def run(args: argparse.Namespace) -> int:
    from crossent.device import choose_device
    from crossent.errors import UserError
    from crossent.inference.paths import find_pictures
    from crossent.inference.rows import print_predictions
    from crossent.model_file import load_model

    if args.top < 1:
        raise UserError(f"--top {args.top}: expected a number of classes, 1 or more")
    paths = find_pictures(args.paths, sys.stdin.buffer)
    classifier = load_model(args.run, choose_device(args.device))
    form = "json" if args.json else "csv" if args.csv else "text"
    print_predictions(classifier, paths, form, args.top, args.accuracy, args.strict)
    return 0
