"""Accuracy after the same time on the same photographs: crossent compared with other libraries.

    python -m benchmarks.accuracy [FOLDER] [--seconds 120] [--rounds 2] [--picture FILE]

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
from benchmarks.contest import INSTALLED, NUM_FOLDS, PLAIN
from benchmarks.timing import ROOT, Watched

PHOTOS = ROOT.parent / "shared" / "photos"
NUM_TRIED = 3  # epochs; the first includes the start of the program
CONFIGS = {"crossent, pretrained": "pretrained", "crossent, from scratch": "photos_fast"}
Curve = list[tuple[float, dict[str, Any]]]  # per epoch: seconds from the start, and `val`
RIVALS = [PLAIN, "plain loop, tuned", "timm", "fastai", "ultralytics, cache=ram"]


def main() -> None:
    parser = timing.make_parser(__doc__)
    add = parser.add_argument
    add("folder", nargs="?", type=Path, default=PHOTOS, help="FOLDER/CLASS/*.jpg")
    add("--seconds", type=float, default=120.0, help="per training; default: 120")
    add("--rounds", type=int, default=2, choices=range(1, NUM_FOLDS + 1))
    add("--picture", type=Path, metavar="FILE", help="draw E against seconds")
    args = parser.parse_args()
    names = [*CONFIGS, *(name for name in RIVALS if name in INSTALLED)]
    results: dict[str, list[Curve]] = {name: [] for name in names}
    for number, name in enumerate(timing.in_turn(names, args.rounds)):
        results[name].append(train(name, args.folder, 1 + number // len(names), args.seconds))
    numbers = {name: [numbers_of(curve) for curve in curves] for name, curves in results.items()}
    rows = timing.spreads(numbers, (1, 3, 0, 0))
    print(timing.table(["", "balanced accuracy, %", "E", "epochs", "seconds"], rows))
    print(
        f"\n{timing.NOTE} The contenders have the small CNN of configs/default.yaml at "
        f"{IMAGE_SIZE} pixels, batches of {BATCH_SIZE}, SGD with one rate, and the schedule, the "
        "loss and the augmentation that their documentation shows. Not comparable: crossent's two "
        "configs were tuned on these photographs, the contenders were not; crossent's pretrained "
        "weights come with a package, those of the others are downloaded and so were left out.\n"
    )
    print(contest.origins("benchmarks.accuracy", RIVALS))
    if args.picture:
        draw(results, args.picture)


def train(name: str, photos: Path, fold: int, seconds: float) -> Curve:
    """Train for as many epochs as the time allows, or for the few epochs of pretrained.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
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
        return curve_of(contest.run(name, photos, epochs))
    words = [f"-cconfigs/{CONFIGS[name]}.yaml", f"data.cache_dir={out}/cache", "data.seed=0"]
    words += [f"data.folds={NUM_FOLDS}", f"data.fold={fold}"]  # a fold keeps its last epoch
    words += [f"train.epochs={epochs}"] if epochs else []
    curve = curve_of(contest.run_crossent(photos, out / "run", *words))
    command = [sys.executable, "-m", "crossent", "evaluate", f"{out}/run", "--json"]
    numbers = json.loads(subprocess.check_output(command, cwd=ROOT))
    curve[-1][1]["balanced_accuracy"] = numbers["balanced_accuracy"]["value"]  # not in the log
    return curve


def curve_of(watched: Watched) -> Curve:
    pairs = zip(watched.seen_s, watched.records, strict=True)
    return [(seconds, record["val"]) for seconds, record in pairs if record["kind"] == "epoch"]


def numbers_of(curve: Curve) -> list[float]:
    seconds, val = curve[-1]
    return [100 * val["balanced_accuracy"], val["E"], len(curve), seconds]


def draw(results: dict[str, list[Curve]], path: Path) -> None:
    """Draw E on validation against seconds, one line per training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    axes = figure.subplots()
    for number, (name, curves) in enumerate(results.items()):
        accuracy = median(curve[-1][1]["balanced_accuracy"] for curve in curves)
        for index, curve in enumerate(curves):
            label = f"{name}: {accuracy:.0%}" if index == 0 else None
            seconds, Es = [end for end, _ in curve], [val["E"] for _, val in curve]
            axes.plot(seconds, Es, color=f"C{number}", linewidth=1.5, label=label)
    axes.set(xlabel="seconds from the start of the program", ylabel="E on validation, nats")
    axes.set(xlim=(0, None), ylim=(0, 1.6))
    axes.set_title("E on validation, and the balanced accuracy at the end", loc="left")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
