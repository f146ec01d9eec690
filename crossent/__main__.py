"""python -m crossent COMMAND: everything except training, which train.py does.

Each command is a function, whose docstring is the help text. Heavy imports are inside functions.
"""

import argparse
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
Argument = tuple[tuple[str, ...], dict[str, Any]]
Function = Callable[..., int | None]
COMMANDS: dict[str, argparse.ArgumentParser] = {}
to_json = partial(json.dumps, ensure_ascii=False, allow_nan=False)


def argument(*names: str, **options: Any) -> Argument:
    """Return the arguments for argparse's `add_argument`."""
    return names, options


def command(*arguments: Argument) -> Callable[[Function], Function]:
    """Register a function as a command: it takes `arguments` by name, may return an exit status."""

    def register(function: Function) -> Function:
        name = function.__name__.replace("_", "-")
        parser = argparse.ArgumentParser(f"{PROGRAM} {name}", description=function.__doc__)
        parser.set_defaults(function=function)
        for names, options in arguments:
            parser.add_argument(*names, **options)
        COMMANDS[name] = parser
        return function

    return register


RUN = argument("run", type=Path, metavar="RUN", help="a run folder, or its model file")
CONFIG = argument("-c", "--config", type=Path, metavar="CONFIG.yaml", help="the config file")
OVERRIDES = argument("overrides", nargs="*", metavar="section.key=value", help="settings to change")
MOVED = argument("overrides", nargs="*", metavar="data.root=DIR", help="if the pictures have moved")
DATA = argument(
    "--data", metavar="DIR", help="use the pictures in DIR/CLASS/*.jpg, not the run's own"
)
JSON = argument("--json", dest="as_json", action="store_true", help="print JSON")
DEVICE = argument("--device", default="auto", help="auto, cpu, cuda, ...")


def load(run: Path, device: str) -> "Classifier":
    """Return the trained model of a run folder or a model file."""
    from crossent.device import choose_device
    from crossent.model_file import load_model

    return load_model(run, choose_device(device))


@command(RUN, MOVED, DATA, JSON, DEVICE)
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


@command(
    argument("words", nargs="+", metavar="RUN", help="runs or groups; or data.root=DIR"),
    DATA, JSON, DEVICE,
)  # fmt: skip
def compare(words: list[str], data: str | None, as_json: bool, device: str) -> None:
    """compare runs: which is better, and whether the difference may be due to chance"""
    from crossent.device import choose_device
    from crossent.experiments.compare import compare_runs

    overrides = [word for word in words if "=" in word and not Path(word).exists()]
    runs = [Path(word) for word in words if word not in overrides]
    text, facts = compare_runs(runs, data, choose_device(device), overrides)
    print(to_json(facts) if as_json else text)


@command(
    argument("-c", "--config", type=Path, metavar="SWEEP.yaml", help="the settings to try"),
    argument("--resume", metavar="FOLDER", type=Path, help="continue a sweep"),
    OVERRIDES,
    argument("--out", metavar="FOLDER", type=Path, help="folder of the new sweep"),
)
def sweep(config: Path, resume: Path | None, overrides: list[str], out: Path | None) -> int:
    """try settings in many runs, and show which are better"""
    from crossent.experiments.sweep import sweep

    if bool(config) == bool(resume):
        raise UserError("sweep: expected either -c SWEEP.yaml or --resume FOLDER")
    return sweep(config, resume, overrides, out)


@command(RUN, MOVED, DEVICE)
def report(run: Path, overrides: list[str], device: str) -> None:
    """write report.html of a run: all its results on one page"""
    from crossent.device import choose_device
    from crossent.report.report import write_report
    from crossent.training.run_folder import RunFolder

    folder = RunFolder(run)
    write_report(folder, choose_device(device), overrides=overrides)
    print(f"{folder.report}: open it in a browser")


@command(
    RUN,
    argument("paths", nargs="+", metavar="PATH", help="pictures and folders"),
    argument("--json", dest="form", action="store_const", const="json", help="JSON lines"),
    argument("--csv", dest="form", action="store_const", const="csv", help="print a table"),
    argument("--top", type=int, default=3, metavar="K", help="classes to show; default: 3"),
    argument("--accuracy", type=float, metavar="A", help='say "not sure" to keep accuracy A'),
    DEVICE,
)  # fmt: skip
def predict(
    run: Path, paths: list[str], form: str | None, top: int, accuracy: float | None, device: str
) -> None:
    """predict the class of pictures"""
    from crossent.inference.paths import find_pictures
    from crossent.inference.predict import print_predictions

    if top < 1:
        raise UserError(f"--top {top}: expected a number of classes, 1 or more")
    classifier = load(run, device)
    print_predictions(classifier, find_pictures(paths), form or "text", top, accuracy)


@command(
    argument("root", nargs="?", metavar="DIR", help="DIR/CLASS/*.jpg, DIR/train and val, or a CSV"),
    CONFIG, JSON,
    argument("--html", type=Path, metavar="FILE", help="also write a page with thumbnails"),
)  # fmt: skip
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
    if config:
        from crossent.train_run import training_seconds

        try:
            found["training_s"] = training_seconds(settings)
        except UserError as error:
            found["repairs"] = found["repairs"] or [str(error)]  # mistakes in the settings
    print(to_json(found, indent=2) if as_json else page(found))
    if html:
        from crossent.report.doctor import write_page

        write_page(found, html)
        print(f"{html}: open it in a browser", file=sys.stderr)
    return 1 if found["repairs"] else 0


@command(
    CONFIG, OVERRIDES,
    argument("--seconds", type=float, default=60.0, help="limit per control; default: 60"),
)  # fmt: skip
def check(config: Path | None, overrides: list[str], seconds: float) -> int:
    """test the pipeline with three short trainings whose results are known"""
    from crossent.config import load_settings
    from crossent.experiments.check import check
    from crossent.pretrained import follow_weights

    loaded = load_settings(config, overrides)
    settings = follow_weights(loaded.settings, loaded.kept)
    failed = 0
    for passed, text in check(settings, seconds):
        print(text, flush=True)
        failed |= not passed
    return failed


@command(
    CONFIG, OVERRIDES,
    argument("--kills", type=int, default=3, metavar="N", help="number of kills; default: 3"),
)  # fmt: skip
def verify_resume(config: Path | None, overrides: list[str], kills: int) -> int:
    """test that a run killed at random moments and resumed gives the same bytes"""
    from crossent.verify_resume import verify_resume

    return verify_resume(config, overrides, kills)


@command(
    RUN,
    argument("--format", choices=("onnx",), default="onnx", help="default: onnx"),
    argument("--opset", type=int, metavar="N", default=18, help="18 (default) to 23"),
    argument("--out", type=Path, metavar="FILE", help="default: RUN/model.onnx"),
    DATA,
)
def export(run: Path, format: str, opset: int, out: Path | None, data: str | None) -> None:
    """write a trained model as ONNX, with the preprocessing inside"""
    from crossent.inference.export import ONNXRUNTIME, export

    if opset not in ONNXRUNTIME:
        raise UserError(f"--opset {opset}: expected one of {', '.join(map(str, ONNXRUNTIME))}")
    classifier = load(run, "cpu")
    path = out or (run if run.is_dir() else run.parent) / "model.onnx"
    num_images, difference = export(classifier, path, data, opset)
    print(
        f"{path} is written; compared with predict on {num_images} pictures: the same class on "
        f"all, probabilities differ by {difference:.1e} at most; "
        f"the file needs onnxruntime {ONNXRUNTIME[opset]} or later"
    )


@command(RUN, DEVICE)
def demo(run: Path, device: str) -> None:
    """try a model in the browser (`make demo RUN=...` installs what it needs)"""
    from crossent.inference.demo import serve

    serve(load(run, device))


@command(
    argument("run", nargs="?", type=Path, metavar="RUN", help="default: the article's example"),
    argument("image", nargs="?", metavar="IMAGE", help="a picture"),
    argument("--label", metavar="CLASS", help="the true class; default: the predicted one"),
    argument("--language", choices=("en", "ja"), default="en"),
    DEVICE,
)
def explain(
    run: Path | None, image: str | None, label: str | None, language: str, device: str
) -> None:
    """derive E step by step: for the article's example, or for a picture of yours"""
    from crossent.inference.explain import ARTICLE, explain, in_words

    if (run or label) and not image:
        raise UserError("explain: IMAGE is missing; RUN and --label need it")
    explanation = explain(load(run, device), image, label) if run and image else ARTICLE
    print(in_words(explanation, language))


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
