"""python -m crossent evaluate RUN [--data DIR] [--json]"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder or a model file")
    parser.add_argument(
        "--data", metavar="DIR", help="pictures as DIR/CLASS/*.jpg; default: the run's validation"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")


def run(args: argparse.Namespace) -> int:
    from crossent.build import labelled_folder, validation_of
    from crossent.device import choose_device
    from crossent.evaluation.measure import as_text, examine
    from crossent.model_file import load_model

    classifier = load_model(args.run, choose_device(args.device))
    data = labelled_folder(classifier, args.data) if args.data else validation_of(classifier)
    findings = examine(classifier, data.val)
    if args.json:
        found = findings.to_dict(classifier.class_names)
        found["unusable"] = [asdict(unusable) for unusable in data.unusable]
        print(json.dumps(found, ensure_ascii=False, allow_nan=False))
    else:
        print(as_text(findings, classifier.class_names, data.unusable))
    return 0
