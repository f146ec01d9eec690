"""python -m crossent export RUN --format onnx | torch"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder or a model file")
    parser.add_argument("--format", choices=("onnx", "torch"), default="onnx", help="default: onnx")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: RUN/model.onnx or .pt2")
    parser.add_argument(
        "--data", metavar="DIR", help="pictures to compare on; default: the run's validation"
    )


def run(args: argparse.Namespace) -> int:
    import torch

    from crossent.errors import UserError
    from crossent.inference.compare_on import pictures_to_compare_on
    from crossent.inference.export import NAMES, export
    from crossent.model_file import load_model

    classifier = load_model(args.run, torch.device("cpu"))
    folder = args.run if args.run.is_dir() else args.run.parent
    path = args.out or folder / NAMES[args.format]
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: no such folder")
    source, pictures = pictures_to_compare_on(classifier, args.data)
    found = export(classifier, args.format, path, pictures)
    print(
        f"{path}: compared on {found.num_images} pictures ({source}): the same answer on all, "
        f"probabilities differ by {found.largest_difference:.1e} at most"
    )
    return 0
