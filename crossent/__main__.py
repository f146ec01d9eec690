"""python -m crossent COMMAND: everything except training, which train.py does.

Each command is a function, whose docstring is the help text. Heavy imports are inside functions.
"""

import argparse
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossent.errors import EXIT_DONE, UserError, run_main

if TYPE_CHECKING:
    from crossent.model_file import Classifier

PROGRAM = "python -m crossent"
COMMANDS: dict[str, argparse.ArgumentParser] = {}
to_json = partial(json.dumps, ensure_ascii=False, allow_nan=False)


def argument(*flags: str, **options: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the arguments of argparse's `add_argument`."""
    return flags, options


ARGUMENTS = {  # of all commands, by the name of the function's parameter
    "run": argument(type=Path, metavar="RUN", help="a run folder, or its model file"),
    "any_run": argument(nargs="?", type=Path, metavar="RUN", help="default: the article's example"),
    "runs": argument(nargs="+", metavar="RUN", help="runs or groups; or data.root=DIR"),
    "paths": argument(nargs="+", metavar="PATH", help="pictures and folders"),
    "image": argument(nargs="?", metavar="IMAGE", help="a picture"),
    "root": argument(nargs="?", metavar="DIR", help="folders of classes, or of splits, or a CSV"),
    "overrides": argument(nargs="*", metavar="section.key=value", help="such as data.root=DIR"),
    "config": argument("-c", "--config", type=Path, metavar="CONFIG.yaml", help="the config file"),
    "resume": argument("--resume", type=Path, metavar="FOLDER", help="continue a sweep"),
    "out": argument("--out", type=Path, metavar="PATH", help="new folder; export: the ONNX file"),
    "data": argument("--data", metavar="DIR", help="pictures in DIR/CLASS/, not the run's own"),
    "as_json": argument("--json", dest="as_json", action="store_true", help="print JSON"),
    "as_csv": argument("--csv", dest="as_csv", action="store_true", help="print a table"),
    "html": argument("--html", type=Path, metavar="FILE", help="also write a page with thumbnails"),
    "top": argument("--top", type=int, default=3, metavar="K", help="classes to show; default: 3"),
    "accuracy": argument("--accuracy", type=float, help='say "not sure" to keep this accuracy'),
    "seconds": argument("--seconds", type=float, default=60.0, help="per control; default: 60"),
    "kills": argument("--kills", type=int, default=3, metavar="N", help="default: 3"),
    "format": argument("--format", choices=("onnx",), default="onnx", help="default: onnx"),
    "opset": argument("--opset", type=int, default=18, metavar="N", help="18 (default) to 23"),
    "label": argument("--label", metavar="CLASS", help="true class; default: the predicted one"),
    "language": argument("--language", choices=("en", "ja"), default="en"),
    "device": argument("--device", default="auto", help="auto, cpu, cuda, ..."),
}
Function = Callable[..., int | None]


def command(function: Function) -> Function:
    """Make a function a command: its parameters are in ARGUMENTS; it may return an exit status."""
    name = function.__name__.replace("_", "-")
    parser = argparse.ArgumentParser(f"{PROGRAM} {name}", description=function.__doc__)
    parser.set_defaults(function=function)
    for parameter in inspect.signature(function).parameters:
        flags, options = ARGUMENTS[parameter]
        parser.add_argument(*(flags or (parameter,)), **options)
    COMMANDS[name] = parser
    return function


def load(run: Path, device: str) -> "Classifier":
    from crossent.device import choose_device
    from crossent.model_file import load_model

    return load_model(run, choose_device(device))


@command
def evaluate(run: Path, overrides: list[str], data: str | None, as_json: bool, device: str) -> None:
    """measure a trained model on its validation pictures, or on another folder"""
    from crossent.build import data_to_evaluate
    from crossent.evaluation.measure import as_text, examine

    classifier = load(run, device)
    pictures = data_to_evaluate(classifier, data, overrides)
    findings = examine(classifier, pictures.val)
    names, unusable = classifier.class_names, [asdict(file) for file in pictures.unusable]
    warnings = pictures.warnings if data else []  # training already printed the run's own
    if data and classifier.trained_on is None:
        warnings.append("this old model file does not say which pictures it was trained on")
    facts = findings.to_dict(names) | {"unusable": unusable, "warnings": warnings}
    print(to_json(facts) if as_json else as_text(findings, names, pictures.unusable, warnings))


@command
def compare(runs: list[str], data: str | None, as_json: bool, device: str) -> None:
    """compare runs: which is better, and whether the difference may be due to chance"""
    from crossent.device import choose_device
    from crossent.experiments.compare import compare_runs

    overrides = [word for word in runs if "=" in word and not Path(word).exists()]
    paths = [Path(word) for word in runs if word not in overrides]
    text, facts = compare_runs(paths, data, choose_device(device), overrides)
    print(to_json(facts) if as_json else text)


@command
def sweep(config: Path, resume: Path | None, overrides: list[str], out: Path | None) -> int:
    """try settings in many runs, and show which are better"""
    from crossent.experiments.sweep import sweep

    if bool(config) == bool(resume):
        raise UserError("sweep: expected either -c SWEEP.yaml or --resume FOLDER")
    return sweep(config, resume, overrides, out)


@command
def report(run: Path, overrides: list[str], device: str) -> None:
    """write report.html of a run: all its results on one page"""
    from crossent.device import choose_device
    from crossent.report.report import write_report
    from crossent.training.run_folder import RunFolder

    write_report(RunFolder(run), choose_device(device), overrides=overrides)
    print(f"{RunFolder(run).report}: open it in a browser")


@command
def predict(
    run: Path, paths: list[str], as_json: bool, as_csv: bool, top: int, accuracy: float | None,
    device: str,
) -> None:  # fmt: skip
    """predict the class of pictures"""
    from crossent.inference.paths import find_pictures
    from crossent.inference.predict import print_predictions

    if top < 1:
        raise UserError(f"--top {top}: expected a number of classes, 1 or more")
    form = "csv" if as_csv else "json" if as_json else "text"
    print_predictions(load(run, device), find_pictures(paths), form, top, accuracy)


@command
def doctor(root: str | None, config: Path | None, as_json: bool, html: Path | None) -> int:
    """check the pictures before training: unusable and odd ones, duplicates, leaks"""
    from crossent.config import load_settings
    from data.advice import about_training
    from data.cache import Decoding
    from data.doctor import examine, page
    from data.load import Split

    overrides = ["data.source=folder", f"data.root={root}"] if root else []
    loaded = load_settings(config, overrides)
    settings = loaded.settings
    root = settings.data.labels or settings.data.root
    if root is None:
        raise UserError("name a folder of pictures, or a config with data.root: -c CONFIG.yaml")
    if config:
        from crossent.pretrained import follow_weights  # imports torch, which takes seconds

        settings = follow_weights(settings, loaded.kept)
    data, size = settings.data, settings.data.image_size or 64
    split = Split(data.val_fraction, settings.data_seed)
    decoding = Decoding(data.cache_dir, data.workers)
    found = examine(root, size, split, decoding, data.group)
    counts = {name: num["train"] for name, num in found["classes"].items()}
    from_scratch = settings.model.weights is None
    found["warnings"] += about_training(counts, settings.num_corrections, from_scratch)
    print(to_json(found, indent=2) if as_json else page(found))
    if html:
        from crossent.report.doctor import write_page

        write_page(found, html)
        print(f"{html}: open it in a browser", file=sys.stderr)
    return 1 if found["repairs"] else 0


@command
def check(config: Path | None, overrides: list[str], seconds: float) -> int:
    """test the pipeline with three short trainings whose results are known"""
    from crossent.config import load_settings
    from crossent.experiments.check import check
    from crossent.pretrained import follow_weights

    loaded = load_settings(config, overrides)
    settings = follow_weights(loaded.settings, loaded.kept)
    verdicts = []
    for passed, text in check(settings, seconds):
        print(text, flush=True)
        verdicts.append(passed)
    return EXIT_DONE if all(verdicts) else 1


@command
def verify_resume(config: Path | None, overrides: list[str], kills: int) -> int:
    """test that a run killed at random moments and resumed gives the same bytes"""
    from crossent.verify_resume import verify_resume

    return verify_resume(config, overrides, kills)


@command
def export(run: Path, format: str, opset: int, out: Path | None, data: str | None) -> None:
    """write a trained model as ONNX, with the preprocessing inside"""
    from crossent.inference.export import ONNXRUNTIME, export

    if opset not in ONNXRUNTIME:
        raise UserError(f"--opset {opset}: expected one of {', '.join(map(str, ONNXRUNTIME))}")
    path = out or (run if run.is_dir() else run.parent) / "model.onnx"
    num_images, difference = export(load(run, "cpu"), path, data, opset)
    print(
        f"{path} is written; compared with predict on {num_images} pictures: the same class on "
        f"all, probabilities differ by {difference:.1e} at most; "
        f"the file needs onnxruntime {ONNXRUNTIME[opset]} or later"
    )


@command
def demo(run: Path, device: str) -> None:
    """try a model in the browser (`make demo RUN=...` installs what it needs)"""
    from crossent.inference.demo import serve

    serve(load(run, device))


@command
def explain(
    any_run: Path | None, image: str | None, label: str | None, language: str, device: str
) -> None:
    """derive E step by step: for the article's example, or for a picture of yours"""
    from crossent.inference.explain import ARTICLE, explain, predict_one

    if (any_run or label) and not image:
        raise UserError("explain: IMAGE is missing; RUN and --label need it")
    if any_run and image:
        print(explain(predict_one(load(any_run, device), image, label), label, language))
    else:
        print(explain(ARTICLE, "dog", language))


def main(argv: Sequence[str]) -> int:
    name, *arguments = argv or ["--help"]
    if name not in COMMANDS:
        parser = argparse.ArgumentParser(PROGRAM, description=(__doc__ or "").partition("\n")[0])
        commands = parser.add_subparsers(metavar="COMMAND", required=True)
        for known, its_parser in COMMANDS.items():
            commands.add_parser(known, help=its_parser.description)
        parser.parse_args([name])  # exits, with the list or an error
    # intermixed, so that options may stand between arguments: explain RUN --label fox IMAGE
    args = vars(COMMANDS[name].parse_intermixed_args(arguments))
    return args.pop("function")(**args) or EXIT_DONE


def command_line() -> int:
    """Run the command of this process; the installed script `crossent` calls this."""
    return run_main(main, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(command_line())
