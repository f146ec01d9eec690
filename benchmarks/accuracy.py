"""Accuracy after the same time on the same photographs: crossent compared with other libraries.

    python -m benchmarks.accuracy [FOLDER] [--seconds 120] [--rounds 2]

Each contender first trains for three epochs, which show how many epochs the time allows; then it
trains that many. The last epoch counts, not the best one. Each round validates on another of five
folds, and near-duplicates stay together.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import contest, timing
from benchmarks.contenders.common import BATCH_SIZE, IMAGE_SIZE
from benchmarks.contest import INSTALLED, NUM_FOLDS, PLAIN
from benchmarks.timing import ROOT, Watched

PHOTOS = ROOT.parent / "shared" / "photos"
NUM_TRIED = 3  # epochs; the first includes the start of the program
CONFIGS = {"crossent, pretrained": "pretrained", "crossent, from scratch": "photos"}
RIVALS = [PLAIN, "plain loop, tuned", "timm", "fastai", "ultralytics, cache=ram"]


def main() -> None:
    parser = timing.make_parser(__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=PHOTOS, help="FOLDER/CLASS/*.jpg")
    parser.add_argument("--seconds", type=float, default=120.0, help="per training; default: 120")
    parser.add_argument("--rounds", type=int, default=2, choices=range(1, NUM_FOLDS + 1))
    args = parser.parse_args()
    names = [*CONFIGS, *(name for name in RIVALS if name in INSTALLED)]
    results: dict[str, list[list[float]]] = {name: [] for name in names}
    for number, name in enumerate(timing.in_turn(names, args.rounds)):
        with tempfile.TemporaryDirectory() as folder:
            fold = 1 + number // len(names)
            pictures = contest.split(args.folder, Path(folder, "pictures"), fold)
            results[name].append(train(name, pictures, args.seconds))
    rows = timing.spreads(results, (1, 3, 0, 0))
    print(timing.table(["", "balanced accuracy, %", "E", "epochs", "seconds"], rows))
    print(
        f"\n{timing.NOTE} The contenders have the small CNN of configs/default.yaml at "
        f"{IMAGE_SIZE} pixels, batches of {BATCH_SIZE}, SGD with one rate, and the schedule, the "
        "loss and the augmentation that their documentation shows. Not comparable: crossent's two "
        "configs were tuned on these photographs, the contenders were not; crossent's pretrained "
        "weights come with a package, those of the others are downloaded and so were left out.\n"
    )
    print(contest.origins("benchmarks.accuracy", RIVALS))


def train(name: str, pictures: Path, seconds: float) -> list[float]:
    """Train for as many epochs as the time allows; pretrained.yaml keeps its few epochs.

    Returns:
        Balanced accuracy in %, E, the number of epochs, and the seconds to the end of the last.
    """
    epochs = None
    if CONFIGS.get(name) != "pretrained":
        tried = run(name, pictures, pictures.parent / "tried", NUM_TRIED)
        first_s, last_s = tried.epoch_end_s(1), tried.epoch_end_s(NUM_TRIED)
        epochs = 1 + int(max(0, seconds - first_s) / (last_s - first_s) * (NUM_TRIED - 1))
    out = pictures.parent / "run"
    done = run(name, pictures, out, epochs)
    *_, last = (record for record in done.records if record["kind"] == "epoch")
    if name in CONFIGS:  # metrics.jsonl has no balanced accuracy
        command = [sys.executable, "-m", "crossent", "evaluate", str(out), "--json"]
        numbers = json.loads(subprocess.check_output(command, cwd=ROOT))
        last["val"]["balanced_accuracy"] = numbers["balanced_accuracy"]["value"]
    share, E = last["val"]["balanced_accuracy"], last["val"]["E"]
    return [100 * share, E, last["epoch"], done.epoch_end_s(last["epoch"])]


def run(name: str, pictures: Path, out: Path, epochs: int | None) -> Watched:
    """Train once, from a cold cache."""
    if name not in CONFIGS:
        assert epochs is not None
        return contest.run(name, pictures, epochs)
    words = [f"-cconfigs/{CONFIGS[name]}.yaml", f"data.cache_dir={out}.cache", "train.keep=last"]
    words += [f"train.epochs={epochs}"] if epochs else []
    return contest.run_crossent(pictures, out, *words)


if __name__ == "__main__":
    main()
