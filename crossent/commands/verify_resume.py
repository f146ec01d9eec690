"""python -m crossent verify-resume [-c CONFIG.yaml] [section.key=value ...] [--kills N]"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", metavar="CONFIG.yaml", help="what to train")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument("--kills", type=int, default=3, metavar="N", help="default: 3")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")


def run(args: argparse.Namespace) -> int:
    from crossent.config import load_settings
    from crossent.errors import UserError
    from crossent.verify_resume import verify_resume
    from models import MODEL_NAMES

    if args.kills < 1:
        raise UserError(f"--kills {args.kills}: expected 1 or more")
    settings = load_settings(args.config, args.overrides, model_names=MODEL_NAMES).settings
    config = ["-c", args.config] if args.config else []
    return verify_resume(settings, [*config, *args.overrides], args.kills, args.seed)
