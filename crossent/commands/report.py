"""python -m crossent report RUN"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder, also one in training")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")


def run(args: argparse.Namespace) -> int:
    from crossent.device import choose_device
    from crossent.report.report import write_report
    from crossent.training.run_folder import RunFolder

    folder = RunFolder(args.run)
    write_report(folder, choose_device(args.device))
    print(f"{folder.report}: open it in a browser")
    return 0
