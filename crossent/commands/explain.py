"""python -m crossent explain [RUN IMAGE --label fox]: the article's derivation, for any picture."""

import argparse
from pathlib import Path

FORMATS = ("text", "markdown", "json")
LANGUAGES = ("en", "ja")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", nargs="?", type=Path, metavar="RUN", help="default: the article's own example"
    )
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="a picture")
    parser.add_argument(
        "--label", metavar="CLASS", help="the true class; default: the predicted one"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--language", choices=LANGUAGES, default="en", help="default: en")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")


def run(args: argparse.Namespace) -> int:
    from crossent.device import choose_device
    from crossent.errors import UserError
    from crossent.inference.derivation import in_words
    from crossent.inference.explain import ARTICLE, explain
    from crossent.model_file import load_model

    if args.run and not args.image:
        raise UserError("explain: a RUN and no IMAGE; name the picture to explain")
    if args.label and not args.run:
        raise UserError("explain: --label is for a RUN and an IMAGE")
    explanation = ARTICLE
    if args.run:
        explanation = explain(
            load_model(args.run, choose_device(args.device)), args.image, args.label
        )
    print(in_words(explanation, args.format, args.language))
    return 0
