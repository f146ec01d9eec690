"""python -m crossent sweep -c SWEEP.yaml [section.key=value ...], or --resume FOLDER"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("-c", "--config", metavar="SWEEP.yaml", type=Path, help="what to try")
    start.add_argument("--resume", metavar="FOLDER", type=Path, help="go on with a sweep")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="folder of the sweep to make")


def run(args: argparse.Namespace) -> int:
    from crossent.experiments.sweep import sweep

    return sweep(args.config, args.resume, args.overrides, args.out)
