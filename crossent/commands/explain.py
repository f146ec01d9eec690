"""python -m crossent explain: the article's worked example."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    from crossent.inference.explain_article import article_lines

    for line in article_lines():  # the last one, the loss of training, loads torch
        print(line, flush=True)
    return 0
