"""python -m crossent predict RUN PATH... [--json] [--top K]"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossent.inference.predict import Prediction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder or a model file")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="pictures, or folders of them")
    parser.add_argument("--json", action="store_true", help="print a JSON object a picture")
    parser.add_argument("--top", type=int, default=3, metavar="K", help="classes to show")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")


def run(args: argparse.Namespace) -> int:
    from crossent.device import choose_device
    from crossent.errors import UserError
    from crossent.inference.predict import find_pictures, predict
    from crossent.model_file import load_model

    if args.top < 1:
        raise UserError(f"--top {args.top}: expected a number of classes, 1 or more")
    classifier = load_model(args.run, choose_device(args.device))
    paths = find_pictures(args.paths)
    num_bad = 0
    for prediction in predict(classifier, paths):
        num_bad += prediction.error is not None
        print(as_json(prediction) if args.json else as_row(prediction, args.top), flush=True)
    if num_bad and not args.json:
        print(f"{num_bad} of {len(paths)} files could not be used")
    return 0


def as_json(prediction: "Prediction") -> str:
    p = prediction
    fields = {"error": p.error} if p.error else {"label": p.label, "probs": p.probs}
    return json.dumps({"path": p.path, **fields}, ensure_ascii=False, allow_nan=False)


def as_row(prediction: "Prediction", top: int) -> str:
    """wolf 0.91  dog 0.07  fox 0.02  path/of/picture.jpg"""
    if prediction.probs is None:
        return f"unusable: {prediction.error}  {prediction.path}"
    ranked = sorted(prediction.probs.items(), key=lambda item: -item[1])[:top]
    width = max(len(name) for name in prediction.probs)
    cells = "  ".join(f"{name:<{width}} {y:.2f}" for name, y in ranked)
    return f"{cells}  {prediction.path}"
