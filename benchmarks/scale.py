"""What a larger data set, a larger model and a start cost: train.py, watched from outside.

    python -m benchmarks.scale size           the folder grows: seconds, memory, images/s
    python -m benchmarks.scale checkpoint     the model grows: seconds and bytes of a checkpoint
    python -m benchmarks.scale start          --help, and the first step, with and without cache
    python -m benchmarks.scale start --against OTHER_CHECKOUT        before and after a change

Words such as `train.threads=1` or `-c configs/photos.yaml` go to train.py.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.timing import NOTE, PHOTOS, ROOT, in_turn, origin, ratio, spread, table, watch

CLASS_NAMES = ("dog", "fox", "wolf")
MODELS = {
    "small_cnn": ["model.name=small_cnn"],
    "small_cnn, four times as wide": ["model.name=small_cnn", "model.width=128"],
    "resnet18": ["model.name=torchvision/resnet18"],
}
NUM_STEPS = 10
OTHER = "other checkout: "


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 50_000])
    parser.add_argument("--folder", type=Path, default=PHOTOS, help="of pictures, for start")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another one, for start")
    args, words = parser.parse_known_args()
    args.words = words
    with tempfile.TemporaryDirectory() as folder:
        text = PARTS[args.what](args, Path(folder))
    print(f"{text}\n\n{NOTE}\n\n{origin('benchmarks.scale')}")


def size(args: argparse.Namespace, folder: Path) -> str:
    """Measure the first start on a folder of pictures, and an epoch with its cache, by its size."""
    roots = {f"{num:,}": make_pictures(folder / str(num), num) for num in args.sizes}
    found: dict[str, list[list[float]]] = {name: [] for name in roots}
    for name in in_turn(list(roots), args.rounds):
        with tempfile.TemporaryDirectory(dir=folder) as out:
            words = ["train.py", "data.source=folder", f"data.root={roots[name]}", *args.words]
            words += [f"data.cache_dir={out}/cache", "train.epochs=2", "train.keep=last"]
            cold, warm = watch([*words, "--dry-run"]), watch([*words, "--dry-run"])
            whole = watch([*words, f"--out={out}/run"], ROOT, Path(out, "run", "metrics.jsonl"))
        peak_mb = max(cold.peak_mb, whole.peak_mb)
        found[name].append([cold.seconds, warm.seconds, whole.images_per_s, peak_mb])
    head = ("pictures", "first step, decoding, s", "decoded before, s", "images/s", "memory, MB")
    rows = []
    for name, values in found.items():
        cold_s, warm_s, speeds, peaks_mb = zip(*values, strict=True)
        rows.append([name, spread(cold_s, 1), spread(warm_s, 1), spread(speeds), spread(peaks_mb)])
    return table(head, rows)


def make_pictures(root: Path, num_images: int) -> Path:
    """Make JPEGs of 24 x 24 pixels, no two alike."""
    random = np.random.default_rng(0)
    for number in range(num_images):
        coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        path = root / CLASS_NAMES[number % len(CLASS_NAMES)] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize((24, 24)).save(path)
    return root


def checkpoint(args: argparse.Namespace, folder: Path) -> str:
    """Measure a run that writes a checkpoint after each step, by model."""
    found: dict[str, list[float]] = {name: [] for name in MODELS}  # ms of a checkpoint
    rows = {}
    for name in in_turn(list(MODELS), args.rounds):
        run = folder / "run"
        words = [f"data.num_images={NUM_STEPS * 40}", "train.epochs=1", *MODELS[name], *args.words]
        words += ["train.checkpoint_every=1 steps", f"--out={run}"]
        start, *_, epoch, end = watch(["train.py", *words], ROOT, run / "metrics.jsonl").records
        found[name].append(1e3 * end["time_s"]["checkpoint"] / epoch["step"])
        weights_mb = start["num_params"] * 4 / 1e6
        last, best = ((run / f"{n}.safetensors").stat().st_size / 1e6 for n in ("last", "model"))
        sizes = [weights_mb, last, best, (last + best) / weights_mb]
        times = [spread(found[name]), spread([ms / weights_mb for ms in found[name]], 1)]
        rows[name] = [name, *(f"{value:.1f}" for value in sizes), *times]
        shutil.rmtree(run)
    files = ("last.safetensors, MB", "model.safetensors, MB", "both, x weights")
    head = ("model", "float32 weights, MB", *files, "a checkpoint, ms", "ms per MB of weights")
    return table(head, list(rows.values()))


def start(args: argparse.Namespace, folder: Path) -> str:
    """Measure --help, and a step with all that comes before it, of one checkout or two in turn."""
    checkouts = {"here": ROOT} | ({"there": args.against.resolve()} if args.against else {})
    found: dict[str, list[float]] = {}
    for whose in in_turn(list(checkouts), args.rounds):
        step = ["train.py", "--dry-run", "data.source=folder", f"data.root={args.folder.resolve()}"]
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            commands = {
                "python train.py --help": ["train.py", "--help"],
                "python -m crossent --help": ["-m", "crossent", "--help"],
                "first step, decoding the pictures": [*step, f"data.cache_dir={cache}"],
                "first step, pictures decoded before": [*step, f"data.cache_dir={cache}"],
            }
            for name, words in commands.items():
                words = [*words, *(args.words if "--dry-run" in words else [])]
                seconds = watch(words, checkouts[whose]).seconds
                found.setdefault((OTHER if whose == "there" else "") + name, []).append(seconds)
    rows = [[name, spread(values, 2)] for name, values in found.items()]
    if args.against:
        for row in rows:
            row.append(ratio(found[row[0]], found[OTHER + row[0].removeprefix(OTHER)]))
    return table(("", "s", "x the other")[: len(rows[0])], rows)


PARTS: dict[str, Callable[[argparse.Namespace, Path], str]] = {
    "size": size,
    "checkpoint": checkpoint,
    "start": start,
}

if __name__ == "__main__":
    main()
