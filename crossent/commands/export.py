"""python -m crossent export RUN --format onnx"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder or a model file")
    parser.add_argument("--format", choices=("onnx",), default="onnx", help="default: onnx")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: RUN/model.onnx")
    parser.add_argument(
        "--data", metavar="DIR", help="pictures to compare on; default: the run's validation"
    )


def run(args: argparse.Namespace) -> int:
    import torch

    from crossent.inference.export import export, pictures_to_compare_on
    from crossent.model_file import load_model

    classifier = load_model(args.run, torch.device("cpu"))
    path = args.out or (args.run if args.run.is_dir() else args.run.parent) / "model.onnx"
    source, pictures = pictures_to_compare_on(classifier, args.data)
    found = export(classifier, path, pictures)
    print(
        f"{path}: compared on {found.num_images} pictures ({source}): the same prediction on all, "
        f"probabilities differ by {found.largest_difference:.1e} at most"
    )
    return 0
