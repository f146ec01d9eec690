"""python -m crossent predict RUN PATH... [--json | --csv] [--top K] [--accuracy A]"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from crossent.evaluation.coverage import Promise
    from crossent.inference.predict import Prediction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder or a model file")
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="pictures, folders of them, patterns in quotes, or - for a list on standard input",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON object a picture")
    form.add_argument("--csv", action="store_true", help="print a table for a spreadsheet")
    parser.add_argument("--top", type=int, default=3, metavar="K", help="classes to show")
    parser.add_argument(
        "--accuracy",
        type=float,
        metavar="A",
        help='say "not sure" where answers were right less often than this on validation',
    )
    parser.add_argument("--strict", action="store_true", help="stop at a file that is no picture")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")


def run(args: argparse.Namespace) -> int:
    from crossent.device import choose_device
    from crossent.inference.paths import find_pictures
    from crossent.inference.predict import predict, promise_of
    from crossent.inference.rows import as_csv, as_json, as_row, csv_header
    from crossent.model_file import load_model

    check(args)
    paths = find_pictures(args.paths, sys.stdin.buffer)
    classifier = load_model(args.run, choose_device(args.device))
    promise = None if args.accuracy is None else promise_of(classifier, args.accuracy)
    if promise:
        print(in_words(promise), file=sys.stderr)
    if args.csv:
        print(csv_header(classifier.class_names))
    count = Count()
    for prediction in predict(classifier, paths):
        sure = None if promise is None else prediction.confidence >= promise.threshold
        count.add(prediction, sure, args.strict)
        if args.json:
            print(as_json(prediction, sure), flush=True)
        elif args.csv:
            print(as_csv(prediction, classifier.class_names, sure), flush=True)
        else:
            print(as_row(prediction, args.top, sure), flush=True)
    count.tell(sys.stderr if args.json or args.csv else sys.stdout)
    return 0


def check(args: argparse.Namespace) -> None:
    from crossent.errors import UserError

    if args.top < 1:
        raise UserError(f"--top {args.top}: expected a number of classes, 1 or more")


def in_words(promise: "Promise") -> str:
    low, high = promise.interval
    return (
        f"sure from y = {promise.threshold:.4f} on: of {promise.num_images} validation pictures, "
        f"{promise.num_kept} ({promise.coverage:.0%}) were answered so surely, and "
        f"{promise.accuracy:.1%} of these answers were right (95 % interval {low:.1%} to "
        f"{high:.1%}); of pictures of another kind nothing is promised"
    )


class Count:
    """How many files were asked about, and what became of them."""

    def __init__(self) -> None:
        self.files = self.unusable = self.unsure = 0

    def add(self, prediction: "Prediction", sure: bool | None, strict: bool) -> None:
        """Count a file.

        Raises:
            UserError: it could not be used, and `strict`.
        """
        from crossent.errors import UserError

        self.files += 1
        if prediction.error is not None:
            if strict:
                raise UserError(f"{prediction.path}: {prediction.error}")
            self.unusable += 1
        elif sure is False:
            self.unsure += 1

    def tell(self, file: TextIO) -> None:
        if not self.files:
            print("no files: the list on standard input is empty", file=sys.stderr)
        if self.unusable:
            print(f"{self.unusable} of {self.files} files could not be used", file=file)
        if self.unsure:
            print(f"{self.unsure} of {self.files} answers are not sure", file=file)
