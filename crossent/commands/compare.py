"""python -m crossent compare RUN RUN... [--against RUN...] [--data DIR] [--json]"""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="run folders, or groups; each is compared with the first",
    )
    parser.add_argument(
        "--against", nargs="+", type=Path, default=[], metavar="RUN",
        help="the first side; then RUN... are one side, as seeds of one setting, and these another",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="DIR", help="pictures as DIR/CLASS/*.jpg; default: the runs' validation"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")


def run(args: argparse.Namespace) -> int:
    from crossent.device import choose_device
    from crossent.experiments.compare import compare_runs

    device = choose_device(args.device)
    text, facts = compare_runs(args.runs, args.against, args.data, device)
    print(json.dumps(facts, ensure_ascii=False, allow_nan=False) if args.json else text)
    return 0
