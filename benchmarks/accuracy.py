"""Accuracy after the same time on the same photographs: crossent compared with other libraries.

    python -m benchmarks.accuracy FOLDER [--seconds 120] [--rounds 2] [--picture FILE]

Each contender first trains for three epochs, to find the number of epochs that the time allows, and
then for that number. The last epoch counts, not the best one. Each round validates on another of
five folds; near-duplicates are in one fold.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import contest, timing
from benchmarks.contenders.common import BATCH_SIZE, IMAGE_SIZE
from benchmarks.contest import CONTENDERS, INSTALLED, NUM_FOLDS, PLAIN

NUM_TRIED = 3  # epochs; the first includes the start of the program
CONFIGS = {"crossent, pretrained": "pretrained", "crossent, from scratch": "photos_fast"}
Curve = list[tuple[float, dict[str, Any]]]  # per epoch: seconds from the start, and its record
RIVALS = [PLAIN, "plain loop, tuned", "timm", "fastai", "ultralytics, cache=ram"]


def main() -> None:
    parser = timing.make_parser(__doc__, rounds=2)
    parser.add_argument("folder", type=Path, help="FOLDER/CLASS/*.jpg")
    parser.add_argument("--seconds", type=float, default=120.0, help="per training; default: 120")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw E against seconds")
    args = parser.parse_args()
    names = [*CONFIGS, *(name for name in RIVALS if name in INSTALLED)]
    results = timing.in_turn(
        names, args.rounds, lambda name, number: train(name, args.folder, number, args.seconds)
    )
    numbers = {name: [numbers_of(curve) for curve in curves] for name, curves in results.items()}
    head = ("", "balanced accuracy, %", "E", "epochs", "seconds")
    print(timing.spread_table(head, numbers, (1, 3, 0, 0)))
    print(
        f"\n{timing.NOTE} The contenders have the small CNN of configs/default.yaml at "
        f"{IMAGE_SIZE} pixels, batches of {BATCH_SIZE}, SGD with one rate, and the schedule, the "
        "loss and the augmentation that their documentation shows. Not comparable: crossent's two "
        "configs were tuned on these photographs, the contenders were not; crossent's pretrained "
        "weights come with a package, those of the others are downloaded and so were left out.\n"
    )
    print(timing.origin("benchmarks.accuracy", *(CONTENDERS[name][0] for name in RIVALS)))
    if args.picture:
        draw(results, args.picture)


def train(name: str, photos: Path, round_number: int, seconds: float) -> Curve:
    """Train for as many epochs as the time allows, or for the few epochs of pretrained.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        out, fold = Path(folder), 1 + (round_number - 1) % NUM_FOLDS
        if name not in CONFIGS:
            photos = contest.split(photos, out / "pictures", fold)
        if CONFIGS.get(name) == "pretrained":
            return run(name, photos, fold, out, None)
        tried = [end for end, _ in run(name, photos, fold, out / "tried", NUM_TRIED)]
        epoch_s = (tried[-1] - tried[0]) / (NUM_TRIED - 1)
        num_epochs = max(1, 1 + int((seconds - tried[0]) / epoch_s))
        return run(name, photos, fold, out / "run", num_epochs)


def run(name: str, photos: Path, fold: int, out: Path, epochs: int | None) -> Curve:
    """Train once, from a cold cache."""
    if name not in CONFIGS:
        assert epochs is not None
        return contest.run(name, photos, epochs).epochs
    words = [f"-cconfigs/{CONFIGS[name]}.yaml", f"data.cache_dir={out}/cache", "data.seed=0"]
    words += [f"data.folds={NUM_FOLDS}", f"data.fold={fold}"]  # a fold keeps its last epoch
    words += [f"train.epochs={epochs}"] if epochs else []
    curve = contest.run_crossent(photos, out / "run", *words).epochs
    command = [sys.executable, "-m", "crossent", "evaluate", f"{out}/run", "--json"]
    numbers = json.loads(subprocess.check_output(command, cwd=timing.ROOT))
    val = curve[-1][1]["val"]
    val["balanced_accuracy"] = numbers["balanced_accuracy"]["value"]  # not in the log
    return curve


def numbers_of(curve: Curve) -> list[float]:
    seconds, epoch = curve[-1]
    return [100 * epoch["val"]["balanced_accuracy"], epoch["val"]["E"], len(curve), seconds]


def draw(results: dict[str, list[Curve]], path: Path) -> None:
    """Draw E on validation against seconds, one line per training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    axes = figure.subplots()
    for number, (name, curves) in enumerate(results.items()):
        accuracy = median(numbers_of(curve)[0] for curve in curves)
        for index, curve in enumerate(curves):
            label = None if index else f"{name}: {accuracy:.0f}%"
            seconds, Es = [end for end, _ in curve], [epoch["val"]["E"] for _, epoch in curve]
            axes.plot(seconds, Es, color=f"C{number}", linewidth=1.5, label=label)
    axes.set(xlabel="seconds from the start of the program", ylabel="E on validation, nats")
    axes.set(xlim=(0, None), ylim=(0, 1.6))
    axes.set_title("E on validation, and the balanced accuracy at the end", loc="left")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
