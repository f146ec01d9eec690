"""python -m crossent explain: the article's worked example."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    from crossent.inference.explain_article import article_example

    print(article_example())
    return 0
