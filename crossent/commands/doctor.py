"""python -m crossent doctor DIR | -c CONFIG.yaml"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", nargs="?", metavar="DIR", help="DIR/CLASS/*, or DIR/train and val")
    parser.add_argument("-c", "--config", metavar="CONFIG.yaml", help="the folder that this names")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from crossent.config import load_settings
    from crossent.errors import UserError
    from data.doctor_page import run_doctor

    settings = load_settings(args.config).settings if args.config else load_settings(None).settings
    root = args.root or settings.data.root
    if root is None:
        raise UserError("name a folder of pictures, or with -c a config whose data.root does")
    try:
        return run_doctor(
            root,
            as_json=args.json,
            image_size=settings.data.image_size or 64,
            val_fraction=settings.data.val_fraction,
            seed=settings.seed,
            epochs=settings.train.epochs if args.config else None,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
