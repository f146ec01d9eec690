"""python -m crossent COMMAND: everything except training, which train.py does.

Each command is a function, whose docstring is the help text. Heavy imports are inside functions.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from inspect import getdoc, signature
from json import dumps
from pathlib import Path
from typing import Any

import crossent
from crossent.errors import EXIT_DONE, UserError, run_main

to_json = partial(dumps, ensure_ascii=False, allow_nan=False)

FLAG = {"action": "store_true"}
ARGUMENTS: dict[str, dict[str, Any]] = {  # of all commands and train.py, by parameter
    "run": {"type": Path, "metavar": "RUN", "help": "a run folder, or its model file"},
    "any_run": {"nargs": "?", "type": Path, "metavar": "RUN", "help": "default: an example"},
    "runs": {"nargs": "+", "metavar": "RUN", "help": "runs or groups; or data.root=DIR"},
    "paths": {"nargs": "+", "metavar": "PATH", "help": "pictures and folders"},
    "image": {"nargs": "?", "metavar": "IMAGE", "help": "a picture"},
    "root": {"nargs": "?", "metavar": "DIR", "help": "folders of classes, or of splits, or a CSV"},
    "overrides": {"nargs": "*", "metavar": "section.key=value", "help": "such as data.root=DIR"},
    "config": {"type": Path, "metavar": "CONFIG.yaml", "help": "the config file"},
    "seeds": {"type": int, "metavar": "N", "help": "train N times, with seed, seed + 1, ..."},
    "print_config": {**FLAG, "help": "print all settings, then stop"},
    "dry_run": {**FLAG, "help": "train for one step, keep nothing"},
    "find_lr": {**FLAG, "help": "try learning rates, draw lr-finder.png"},
    "preview": {**FLAG, "help": "draw the first batch: preview.png"},
    "out": {"type": Path, "metavar": "PATH", "help": "the new folder; of export: the file"},
    "resume": {"type": Path, "metavar": "FOLDER", "help": "continue a run, a group or a sweep"},
    "data": {"metavar": "DIR", "help": "pictures in DIR/CLASS/, not the run's own"},
    "json": {**FLAG, "help": "print JSON"},
    "csv": {**FLAG, "help": "print a table"},
    "html": {"type": Path, "metavar": "FILE", "help": "also write a page with thumbnails"},
    "top": {"type": int, "default": 3, "metavar": "K", "help": "classes to show; default: 3"},
    "accuracy": {"type": float, "help": 'say "not sure" to keep this accuracy'},
    "seconds": {"type": float, "default": 60.0, "help": "per control; default: 60"},
    "kills": {"type": int, "default": 3, "metavar": "N", "help": "default: 3"},
    "format": {"choices": ("onnx",), "default": "onnx", "help": "default: onnx"},
    "opset": {"type": int, "default": 18, "metavar": "N", "help": "18 (default) to 23"},
    "label": {"metavar": "CLASS", "help": "true class; default: the predicted one"},
    "language": {"choices": ("en", "ja"), "default": "en"},
    "device": {"default": "auto", "help": "auto, cpu, cuda, ..."},
}


def call(program: str, function: Callable[..., int | None], words: Sequence[str]) -> int:
    """Call the function with its ARGUMENTS from the words; its keyword-only ones are options."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(program, description=getdoc(function), formatter_class=form)
    for name, parameter in signature(function).parameters.items():
        is_option = parameter.kind == parameter.KEYWORD_ONLY
        flags = [f"--{name.replace('_', '-')}"] if is_option else [name]
        parser.add_argument(*(["-c"] if name == "config" else []), *flags, **ARGUMENTS[name])
    # intermixed, so that options may stand between arguments: explain RUN --label fox IMAGE
    found, unknown = parser.parse_known_intermixed_args(words)
    args = vars(found)
    for word in args.get("overrides", ()):
        if "config" in args and "=" not in word and word.endswith((".yaml", ".yml")):
            raise UserError(f"{word} is not a setting; did you mean -c {word}?")
    if unknown:
        from crossent.config import FIELDS

        key, _, value = unknown[0].lstrip("-").replace("-", "_").partition("=")
        value = value or next(iter(args.get("overrides", ())), "...")
        near = [n for n in FIELDS if "overrides" in args and key in (n, n.rpartition(".")[2])]
        hint = f"did you mean {near[0]}={value}?" if near else "see --help"
        raise UserError(f"{unknown[0]} is not an option; {hint}")
    return function(**args) or EXIT_DONE


def evaluate(run: Path, overrides: list[str], *, data: str | None, json: bool, device: str) -> None:
    """measure a trained model on its validation pictures, or on another folder"""
    from crossent.build import data_to_evaluate
    from crossent.evaluation.measure import as_text, examine

    classifier = crossent.load(run, device).classifier
    pictures = data_to_evaluate(classifier, data, overrides)
    findings = examine(classifier, pictures.val)
    names, unusable = classifier.class_names, [asdict(file) for file in pictures.unusable]
    warnings = pictures.warnings if data else []  # training already printed the run's own
    if data and classifier.trained_on is None:
        warnings.append("this old model file does not say which pictures it was trained on")
    facts = findings.to_dict(names) | {"unusable": unusable, "warnings": warnings}
    print(to_json(facts) if json else as_text(findings, names, pictures.unusable, warnings))


def compare(runs: list[str], *, data: str | None, json: bool, device: str) -> None:
    """compare runs: which is better, and whether the difference may be due to chance"""
    from crossent.device import choose_device
    from crossent.experiments.compare import compare_runs

    overrides = [word for word in runs if "=" in word and not Path(word).exists()]
    paths = [Path(word) for word in runs if word not in overrides]
    text, facts = compare_runs(paths, data, choose_device(device), overrides)
    print(to_json(facts) if json else text)


def sweep(overrides: list[str], *, config: Path, resume: Path | None, out: Path | None) -> int:
    """try settings in many runs, and show which are better"""
    from crossent.experiments.sweep import sweep

    if bool(config) == bool(resume):
        raise UserError("sweep: expected either -c SWEEP.yaml or --resume FOLDER")
    return sweep(config, resume, overrides, out)


def report(run: Path, overrides: list[str], *, device: str) -> None:
    """write report.html of a run: all its results on one page"""
    from crossent.device import choose_device
    from crossent.report.report import write_report
    from crossent.training.run_folder import RunFolder

    write_report(RunFolder(run), choose_device(device), overrides=overrides)
    print(f"{RunFolder(run).report}: open it in a browser")


def predict(
    run: Path, paths: list[str], *, json: bool, csv: bool, top: int, accuracy: float | None,
    device: str,
) -> None:  # fmt: skip
    """predict the class of pictures"""
    from crossent.inference.paths import find_pictures
    from crossent.inference.predict import print_predictions

    if top < 1:
        raise UserError(f"--top {top}: expected a number of classes, 1 or more")
    form = "csv" if csv else "json" if json else "text"
    print_predictions(
        crossent.load(run, device).classifier, find_pictures(paths), form, top, accuracy
    )


def doctor(root: str | None, *, config: Path | None, json: bool, html: Path | None) -> int:
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
    print(to_json(found, indent=2) if json else page(found))
    if html:
        from crossent.report.doctor import write_page

        write_page(found, html)
        print(f"{html}: open it in a browser", file=sys.stderr)
    return 1 if found["repairs"] else 0


def check(overrides: list[str], *, config: Path | None, seconds: float) -> int:
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


def verify_resume(overrides: list[str], *, config: Path | None, kills: int) -> int:
    """test that a run killed at random moments and resumed gives the same bytes"""
    from crossent.resume import verify_resume

    return verify_resume(config, overrides, kills)


def export(run: Path, *, format: str, opset: int, out: Path | None, data: str | None) -> None:
    """write a trained model as ONNX, with the preprocessing inside"""
    from crossent.inference.export import ONNXRUNTIME, export

    if opset not in ONNXRUNTIME:
        raise UserError(f"--opset {opset}: expected one of {', '.join(map(str, ONNXRUNTIME))}")
    path = out or (run if run.is_dir() else run.parent) / "model.onnx"
    num_images, difference = export(crossent.load(run, "cpu").classifier, path, data, opset)
    print(
        f"{path} is written; compared with predict on {num_images} pictures: the same class on "
        f"all, probabilities differ by {difference:.1e} at most; "
        f"the file needs onnxruntime {ONNXRUNTIME[opset]} or later"
    )


def demo(run: Path, *, device: str) -> None:
    """try a model in the browser (`make demo RUN=...` installs what it needs)"""
    from crossent.inference.demo import serve

    serve(crossent.load(run, device).classifier)


def explain(
    any_run: Path | None, image: str | None, *, label: str | None, language: str, device: str
) -> None:
    """derive E step by step: for the article's example, or for a picture of yours"""
    from crossent.inference.explain import ARTICLE, explain, predict_one

    if (any_run or label) and not image:
        raise UserError("explain: IMAGE is missing; RUN and --label need it")
    if any_run and image:
        classifier = crossent.load(any_run, device).classifier
        print(explain(predict_one(classifier, image, label), label, language))
    else:
        print(explain(ARTICLE, "dog", language))


COMMANDS: dict[str, Callable[..., int | None]] = {
    "evaluate": evaluate, "compare": compare, "sweep": sweep, "report": report,
    "predict": predict, "doctor": doctor, "check": check, "verify-resume": verify_resume,
    "export": export, "demo": demo, "explain": explain,
}  # fmt: skip


def main(argv: Sequence[str]) -> int:
    program, (name, *words) = "python -m crossent", argv or ["--help"]
    if name not in COMMANDS:
        parser = argparse.ArgumentParser(program, description=(__doc__ or "").partition("\n")[0])
        commands = parser.add_subparsers(metavar="COMMAND", required=True)
        for known, function in COMMANDS.items():
            commands.add_parser(known, help=function.__doc__)
        parser.parse_args([name])  # exits, with the list or an error
    return call(f"{program} {name}", COMMANDS[name], words)


def command_line() -> int:
    """Run the command of this process; the installed script `crossent` calls this."""
    return run_main(main, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(command_line())
