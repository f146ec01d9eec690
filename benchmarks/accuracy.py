"""Accuracy after the same time on the same photographs: crossent compared with other libraries.

    python -m benchmarks.accuracy [FOLDER] [--seconds 120] [--rounds 2] [--picture FILE]

Each contender first trains for three epochs, which show how many epochs the time allows; then it
trains that many. The last epoch counts, not the best one. Each round validates on another of five
folds, so there are at most five rounds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks import timing
from benchmarks.throughput import CONTENDERS, PLAIN, link
from benchmarks.timing import ROOT, Watched, spread
from data.cache import Decoding
from data.load import Split, load_folder

PHOTOS = ROOT.parent / "shared" / "photos"
IMAGE_SIZE, BATCH_SIZE = 64, 32
NUM_FOLDS = 5
NUM_TRIED = 3  # epochs; the first includes the start of the program
CONFIGS = {"crossent, pretrained": "pretrained", "crossent, from scratch": "photos"}
TUNED = "plain loop, tuned"
RIVALS = (PLAIN, TUNED, "timm", "fastai", "ultralytics, cache=ram")


@dataclass
class Result:
    """One training of a contender."""

    seconds: list[float]  # from the start of the process to the end of each epoch
    E: list[float]  # on validation, after each epoch
    balanced_accuracy: float  # after the last one: the mean of the recalls


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
    results: dict[str, list[Result]] = {name: [] for name in names}
    for number, name in enumerate(timing.in_turn(names, args.rounds)):
        with tempfile.TemporaryDirectory() as folder:
            pictures = split(args.folder, Path(folder, "pictures"), 1 + number // len(names))
            results[name].append(train(name, pictures, args.seconds))
    print("\n\n".join(report(results, args)))
    if args.picture:
        draw(results, args.picture)


def split(folder: Path, into: Path, fold: int) -> Path:
    """Link a fold for validation and the rest for training; near-duplicates stay together."""
    how = Split(0.2, seed=0, num_folds=NUM_FOLDS, fold=fold)
    data = load_folder(folder, IMAGE_SIZE, how, IMAGE_SIZE, "skip", Decoding(use_cache=False))
    for name, image_set in (("train", data.train), ("val", data.val)):
        for path in image_set.names:
            link(folder / path, into / name / path)
    return into


def train(name: str, pictures: Path, seconds: float) -> Result:
    """Train for as many epochs as the time allows; pretrained.yaml keeps its few epochs."""
    if CONFIGS.get(name) == "pretrained":
        return run(name, pictures, None)
    tried = run(name, pictures, NUM_TRIED).seconds
    epoch_s = (tried[-1] - tried[0]) / (NUM_TRIED - 1)
    return run(name, pictures, max(1, 1 + int((seconds - tried[0]) / epoch_s)))


def run(name: str, pictures: Path, epochs: int | None) -> Result:
    """Train once, from a cold cache."""
    with tempfile.TemporaryDirectory(dir=pictures.parent) as out:
        folder, metrics = Path(out, "run"), Path(out, "metrics.jsonl")
        if name in CONFIGS:
            length = [] if epochs is None else [f"train.epochs={epochs}"]
            words = [
                "train.py", f"-cconfigs/{CONFIGS[name]}.yaml", f"data.root={pictures}",
                f"data.cache_dir={out}/cache", "train.keep=last", f"--out={folder}", *length,
            ]  # fmt: skip
            watched = timing.watch(words, ROOT, folder / "metrics.jsonl")
            command = [sys.executable, "-m", "crossent", "evaluate", str(folder), "--json"]
            found = json.loads(subprocess.check_output(command, cwd=ROOT))
            return result_of(watched, found["balanced_accuracy"]["value"])
        _, module, *options = CONTENDERS[name]
        words = [
            "-m", f"benchmarks.contenders.{module}", str(pictures), str(metrics),
            f"--epochs={epochs}", f"--image-size={IMAGE_SIZE}", f"--batch-size={BATCH_SIZE}",
            *options,
        ]  # fmt: skip
        watched = timing.watch(words, ROOT, metrics)
        return result_of(watched, watched.records[-1]["val"]["balanced_accuracy"])


def result_of(watched: Watched, balanced_accuracy: float) -> Result:
    epochs = [
        (seconds, record["val"]["E"])
        for seconds, record in zip(watched.seen_s, watched.records, strict=True)
        if record["kind"] == "epoch"
    ]
    return Result([s for s, _ in epochs], [E for _, E in epochs], balanced_accuracy)


def report(results: dict[str, list[Result]], args: argparse.Namespace) -> list[str]:
    """Return the table, its explanation, and the origin of the numbers."""
    rows = [
        [
            name,
            spread([100 * r.balanced_accuracy for r in runs], 1),
            spread([r.E[-1] for r in runs], 3),
            spread([len(r.E) for r in runs]),
            spread([r.seconds[-1] for r in runs]),
        ]
        for name, runs in results.items()
    ]
    head = ["", "balanced accuracy, %", "E", "epochs", "seconds"]
    missing = [name for name in RIVALS if name not in results]
    packages = {CONTENDERS[name][0]: None for name in results if name in CONTENDERS}
    packages.pop("torch", None)
    return [
        timing.table([*head], rows),
        explain(args.folder, args.seconds, args.rounds),
        *([f"Not installed, left out: {', '.join(missing)}."] if missing else []),
        timing.origin("benchmarks.accuracy", *packages),
    ]


def explain(folder: Path, seconds: float, rounds: int) -> str:
    num_pictures = sum(len(list(path.iterdir())) for path in folder.iterdir())
    return (
        f"{num_pictures} photographs; each of {rounds} rounds validates on another fifth of them, "
        f"near-duplicates together. Each training has {seconds:.0f} seconds, counted "
        f"from the start of the process. {timing.NOTE} The contenders have the small CNN of "
        f"configs/default.yaml at {IMAGE_SIZE} pixels, batches of {BATCH_SIZE}, SGD with the same "
        "rate, and the schedule, the loss and the augmentation that their documentation shows. Not "
        "comparable: crossent's two configs were tuned on these photographs, the contenders were "
        "not; crossent's pretrained weights come with a package, those of the others are "
        "downloaded and so were left out."
    )


def draw(results: dict[str, list[Result]], path: Path) -> None:
    """Draw E on validation against seconds, one line per training; the legend has the accuracy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    for number, (name, runs) in enumerate(results.items()):
        accuracy = statistics.median(r.balanced_accuracy for r in runs)
        for place, r in enumerate(runs):
            label = f"{name}: {accuracy:.0%}" if place == 0 else None
            axes.plot(r.seconds, r.E, color=f"C{number}", linewidth=1.5, label=label)
    axes.set(xlabel="seconds from the start of the program", ylabel="E on validation, nats")
    axes.set_ylim(0, 1.6)
    axes.set_title("Lower is better; in the legend: balanced accuracy at the end", loc="left")
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    figure.savefig(path)


if __name__ == "__main__":
    main()
