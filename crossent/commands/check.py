"""python -m crossent check [-c CONFIG.yaml] [section.key=value ...] [--seconds S]"""

import argparse

EXIT_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", metavar="CONFIG.yaml", help="what would be trained")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="of training for each control at most; default: 60",
    )


def run(args: argparse.Namespace) -> int:
    from crossent.config import load_settings
    from crossent.errors import EXIT_DONE
    from crossent.experiments.check import check
    from crossent.pretrained import follow_weights
    from models import MODEL_NAMES

    loaded = load_settings(args.config, args.overrides, model_names=MODEL_NAMES)
    passed = True
    for verdict in check(follow_weights(loaded.settings), args.seconds):
        print(verdict, flush=True)
        passed = passed and verdict.passed
    return EXIT_DONE if passed else EXIT_FAILED
