"""python -m crossent compare RUN RUN... [--against RUN...] [--data DIR] [--json] [--html FILE]"""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="run folders, or groups; the first is the standard",
    )
    parser.add_argument(
        "--against", nargs="+", type=Path, default=[], metavar="RUN",
        help="the standard; then RUN... are one side, as seeds of one setting, and these another",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="DIR", help="pictures as DIR/CLASS/*.jpg; default: the runs' validation"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page, with pictures")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")


def run(args: argparse.Namespace) -> int:
    from crossent.device import choose_device
    from crossent.errors import UserError
    from crossent.evaluation.compare import compare
    from crossent.evaluation.scores import score
    from crossent.experiments.measured import make_sides, measure_sides
    from crossent.experiments.versus import as_dict, as_text

    if len(args.runs) + len(args.against) < 2:
        raise UserError("compare needs two runs or more, such as: compare runs/a runs/b")
    sides = measure_sides([*args.against, *args.runs], args.data, choose_device(args.device))
    first, others = make_sides(sides, len(args.against))
    comparisons = [compare(first, other) for other in others]
    runs = [run for side in sides for run in side]
    scores = {run.name: score(run.outputs) for run in runs}
    if args.html:
        from crossent.report.versus import write_page

        write_page(args.html, scores, comparisons, runs[0])
    if args.json:
        found = as_dict(scores, comparisons, runs[0].image_set.names)
        print(json.dumps(found, ensure_ascii=False, allow_nan=False))
    else:
        print(as_text(scores, comparisons))
    return 0
