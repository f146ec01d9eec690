"""python -m crossent demo RUN [PICTURE...]: a page in the browser to try a model on."""

import argparse
import threading
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder or a model file")
    parser.add_argument(
        "examples",
        nargs="*",
        metavar="PICTURE",
        help="pictures to offer as examples; default: validation pictures of the run",
    )
    parser.add_argument("--port", type=int, help="default: a free one from 7860 on")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")


def run(args: argparse.Namespace) -> int:
    from crossent.device import choose_device
    from crossent.inference.demo import serving
    from crossent.model_file import load_model

    classifier = load_model(args.run, choose_device(args.device))
    with serving(classifier, args.examples, args.port) as address:
        print(f"open {address} in a browser; Ctrl-C ends it", flush=True)
        threading.Event().wait()
    return 0
