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
    parser.add_argument("--label", metavar="CLASS", help="what it shows; default: what is said")
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--language", choices=LANGUAGES, default="en", help="default: en")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")


def run(args: argparse.Namespace) -> int:
    from crossent.errors import UserError

    if args.run and args.image:
        print(explain_picture(args))
        return 0
    if args.run:
        raise UserError("explain: a RUN and no IMAGE; name the picture to explain")
    if (args.label, args.format, args.language) != (None, "text", "en"):
        raise UserError("explain: --label, --format and --language are for a RUN and an IMAGE")
    from crossent.inference.explain_article import article_lines

    for line in article_lines():  # the last one, the loss of training, loads torch
        print(line, flush=True)
    return 0


def explain_picture(args: argparse.Namespace) -> str:
    from crossent.device import choose_device
    from crossent.inference.explain import explain
    from crossent.inference.explain_words import as_markdown, as_text
    from crossent.inference.rows import json_line
    from crossent.model_file import load_model

    explanation = explain(load_model(args.run, choose_device(args.device)), args.image, args.label)
    if args.format == "json":
        return json_line(explanation.to_dict())
    as_words = as_text if args.format == "text" else as_markdown
    return as_words(explanation, args.language)
