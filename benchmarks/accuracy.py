"""Accuracy after the same time on the same photographs: crossent compared with other libraries.

    python -m benchmarks.accuracy [FOLDER] [--seconds 120] [--rounds 2] [--picture FILE]

Each contender first trains for three epochs, which show how many epochs the time allows; then it
trains that many. The last epoch counts, not the best one. Each round validates on another of five
folds, and near-duplicates stay together.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import timing
from benchmarks.throughput import CONTENDERS, PLAIN, link
from benchmarks.timing import ROOT, spread
from data.cache import Decoding
from data.load import Split, load_folder

PHOTOS = ROOT.parent / "shared" / "photos"
IMAGE_SIZE, BATCH_SIZE = 64, 32
NUM_FOLDS = 5
NUM_TRIED = 3  # epochs; the first includes the start of the program
CONFIGS = {"crossent, pretrained": "pretrained", "crossent, from scratch": "photos"}
RIVALS = (PLAIN, "plain loop, tuned", "timm", "fastai", "ultralytics, cache=ram")
Epochs = list[tuple[float, dict[str, Any]]]  # of each: seconds from the start, and `val`


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", nargs="?", type=Path, default=PHOTOS, help="FOLDER/CLASS/*.jpg")
    add("--seconds", type=float, default=120.0, help="for each training; default: 120")
    add("--rounds", type=int, default=2, choices=range(1, NUM_FOLDS + 1))
    add("--picture", type=Path, metavar="FILE", help="draw E against seconds")
    args = parser.parse_args()
    names = [*CONFIGS, *(name for name in RIVALS if find_spec(CONTENDERS[name][0]))]
    results: dict[str, list[Epochs]] = {name: [] for name in names}
    for number, name in enumerate(timing.in_turn(names, args.rounds)):
        with tempfile.TemporaryDirectory() as folder:
            fold = 1 + number // len(names)
            pictures = split(args.folder, Path(folder, "pictures"), fold)
            # crossent makes the same split itself, so that it keeps the last epoch
            words = [f"data.root={args.folder}", f"data.folds={NUM_FOLDS}", f"data.fold={fold}"]
            results[name].append(train(name, pictures, [*words, "data.seed=0"], args.seconds))
    print("\n\n".join(report(results, args)))
    if args.picture:
        draw(results, args.picture)


def split(folder: Path, into: Path, fold: int) -> Path:
    """Link a fold for validation and the rest for training."""
    how = Split(0.2, seed=0, num_folds=NUM_FOLDS, fold=fold)
    data = load_folder(folder, IMAGE_SIZE, how, IMAGE_SIZE, "skip", Decoding(use_cache=False))
    for name, image_set in (("train", data.train), ("val", data.val)):
        for path in image_set.names:
            link(folder / path, into / name / path)
    return into


def train(name: str, pictures: Path, split_words: list[str], seconds: float) -> Epochs:
    """Train for as many epochs as the time allows; pretrained.yaml keeps its few epochs."""
    if CONFIGS.get(name) == "pretrained":
        return run(name, pictures, split_words, None)
    tried = [end for end, _ in run(name, pictures, split_words, NUM_TRIED)]
    epoch_s = (tried[-1] - tried[0]) / (NUM_TRIED - 1)
    num_epochs = max(1, 1 + int((seconds - tried[0]) / epoch_s))
    return run(name, pictures, split_words, num_epochs)


def run(name: str, pictures: Path, split_words: list[str], epochs: int | None) -> Epochs:
    """Train once, from a cold cache."""
    with tempfile.TemporaryDirectory(dir=pictures.parent) as out:
        metrics = Path(out, "run", "metrics.jsonl")
        if name in CONFIGS:
            words = [
                "train.py", f"-cconfigs/{CONFIGS[name]}.yaml", *split_words,
                f"data.cache_dir={out}/cache", f"--out={out}/run",
                *([f"train.epochs={epochs}"] if epochs else []),
            ]  # fmt: skip
        else:
            _, module, *options = CONTENDERS[name]
            metrics.parent.mkdir()
            words = [
                "-m", f"benchmarks.contenders.{module}", str(pictures), str(metrics),
                f"--epochs={epochs}", f"--image-size={IMAGE_SIZE}", f"--batch-size={BATCH_SIZE}",
                *options,
            ]  # fmt: skip
        watched = timing.watch(words, ROOT, metrics)
        pairs = zip(watched.seen_s, watched.records, strict=True)
        found = [(seconds, record["val"]) for seconds, record in pairs if "val" in record]
        if name in CONFIGS:  # metrics.jsonl has no balanced accuracy
            command = [sys.executable, "-m", "crossent", "evaluate", f"{out}/run", "--json"]
            numbers = json.loads(subprocess.check_output(command, cwd=ROOT))
            found[-1][1]["balanced_accuracy"] = numbers["balanced_accuracy"]["value"]
        return found


def report(results: dict[str, list[Epochs]], args: argparse.Namespace) -> list[str]:
    """Return the table, its explanation, and the origin of the numbers."""
    rows = []
    for name, runs in results.items():
        ends = [epochs[-1] for epochs in runs]
        accuracies = [100 * val["balanced_accuracy"] for _, val in ends]
        Es, seconds = [val["E"] for _, val in ends], [end for end, _ in ends]
        lengths = [len(epochs) for epochs in runs]
        rows.append([name, spread(accuracies, 1), spread(Es, 3), spread(lengths), spread(seconds)])
    missing = [name for name in RIVALS if name not in results]
    packages = {CONTENDERS[name][0]: None for name in results if name in CONTENDERS}
    packages.pop("torch", None)
    return [
        timing.table(["", "balanced accuracy, %", "E", "epochs", "seconds"], rows),
        f"{timing.NOTE} The contenders have the small CNN of configs/default.yaml at {IMAGE_SIZE} "
        f"pixels, batches of {BATCH_SIZE}, SGD with one rate, and the schedule, the loss and the "
        "augmentation that their documentation shows. Not comparable: crossent's two configs were "
        "tuned on these photographs, the contenders were not; crossent's pretrained weights come "
        "with a package, those of the others are downloaded and so were left out.",
        *([f"Not installed, left out: {', '.join(missing)}."] if missing else []),
        timing.origin("benchmarks.accuracy", *packages),
    ]


def draw(results: dict[str, list[Epochs]], path: Path) -> None:
    """Draw E on validation against seconds, one line per training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    for number, (name, runs) in enumerate(results.items()):
        accuracy = median(epochs[-1][1]["balanced_accuracy"] for epochs in runs)
        for place, epochs in enumerate(runs):
            label = f"{name}: {accuracy:.0%}" if place == 0 else None
            seconds, Es = [end for end, _ in epochs], [val["E"] for _, val in epochs]
            axes.plot(seconds, Es, color=f"C{number}", linewidth=1.5, label=label)
    axes.set(xlabel="seconds from the start of the program", ylabel="E on validation, nats")
    axes.set_ylim(0, 1.6)
    axes.set_title("Lower is better; the legend has the balanced accuracy at the end", loc="left")
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    figure.savefig(path)


if __name__ == "__main__":
    main()
