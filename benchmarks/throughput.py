"""The same small CNN on the same folder of JPEGs: crossent compared with other libraries.

    python -m benchmarks.throughput [FOLDER] [--rounds 3] [--epochs 20]
    python -m benchmarks.throughput --against OTHER_CHECKOUT       before and after a change

Every contender is a separate process; they run in turn, `--rounds` times. Those that are not
installed are left out and listed: install requirements-bench.txt in a separate environment, and run
this there. crossent is train.py as a user calls it, measured from its metrics.jsonl.
"""

import argparse
import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks import timing
from benchmarks.timing import ROOT, Watched, ratio, spread

FEW_EPOCHS = 4
COLD, WARM, PLAIN = "crossent, cold cache", "crossent, warm cache", "plain PyTorch loop"
OTHER = "other checkout: "
# By name: the package that a contender needs, its module and its options.
CONTENDERS = {
    PLAIN: ("torch", "plain"),
    "plain loop, tuned": ("torch", "plain", "--tuned"),
    "timm": ("timm", "with_timm"),
    "lightning": ("lightning", "with_lightning"),
    "fastai": ("fastai", "with_fastai"),
    "ultralytics": ("ultralytics", "with_ultralytics"),
    "ultralytics, cache=ram": ("ultralytics", "with_ultralytics", "--tuned"),
}


def main() -> None:
    args = parse_arguments()
    names = [COLD, WARM]
    if args.against:
        names += [OTHER + COLD, OTHER + WARM]
    else:
        names += [name for name, (needs, *_) in CONTENDERS.items() if find_spec(needs)]
    results: dict[str, list[Watched]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        pictures = split(args.folder, Path(folder, "pictures"))
        for name in names:
            if name.endswith(WARM):
                run(name, pictures, args, epochs=1)  # fills the cache
        for name in timing.in_turn(names, args.rounds):
            results[name].append(run(name, pictures, args, args.epochs))
    print("\n\n".join(report(results, args)))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=timing.PHOTOS, help="FOLDER/CLASS/*.jpg"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="compare crossent only")
    return parser.parse_args()


def split(folder: Path, into: Path) -> Path:
    """Link every fifth picture for validation, the others for training: the same for all."""
    for class_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        for number, picture in enumerate(sorted(class_folder.iterdir())):
            side = "val" if number % 5 == 0 else "train"
            link(picture, into / side / class_folder.name / picture.name)
    return into


def link(picture: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(picture.resolve())


def run(name: str, pictures: Path, args: argparse.Namespace, epochs: int) -> Watched:
    """Start a contender and watch it to its end."""
    with tempfile.TemporaryDirectory(dir=pictures.parent) as out:
        if name in CONTENDERS:
            _, module, *options = CONTENDERS[name]
            metrics = Path(out, "metrics.jsonl")
            words = [
                "-m", f"benchmarks.contenders.{module}", pictures, metrics, f"--epochs={epochs}",
                f"--image-size={args.image_size}", f"--batch-size={args.batch_size}", *options,
            ]  # fmt: skip
            return timing.watch(words, ROOT, metrics)
        kept = pictures.parent / ("cache there" if name.startswith(OTHER) else "cache here")
        words = [
            "train.py", f"--out={out}/run", "data.source=folder", f"data.root={pictures}",
            f"data.cache_dir={kept if name.endswith(WARM) else out}", f"train.epochs={epochs}",
            f"data.image_size={args.image_size}", f"train.batch_size={args.batch_size}",
            "data.crop=0.5", "data.aspect=1.33",  # as the others crop
        ]  # fmt: skip
        checkout = args.against.resolve() if name.startswith(OTHER) else ROOT
        return timing.watch(words, checkout, Path(out, "run", "metrics.jsonl"))


def report(results: dict[str, list[Watched]], args: argparse.Namespace) -> list[str]:
    """Return the table, its explanation, the missing contenders, and the origin of the numbers."""
    lengths = sorted({1, min(FEW_EPOCHS, args.epochs), args.epochs})
    rows = []
    for name, runs in results.items():
        base = results[OTHER + name.removeprefix(OTHER) if args.against else PLAIN]
        speeds, base_speeds = ([r.images_per_s for r in group] for group in (runs, base))
        row = [name, spread(speeds), ratio(speeds, base_speeds)]
        for epochs in lengths:
            ends, base_ends = ([r.epoch_end_s(epochs) for r in group] for group in (runs, base))
            row.append(spread(ends, 1) + (f", x {ratio(ends, base_ends)}" if args.against else ""))
        rows.append([*row, spread([r.peak_mb for r in runs])])
    head = ["", "images/s", f"x {'the other' if args.against else 'plain'}"]
    head += [f"to the end of epoch {epochs}, s" for epochs in lengths]
    missing = [] if args.against else [name for name in CONTENDERS if name not in results]
    how = "pip install -r requirements-bench.txt, in a separate environment"
    packages = {CONTENDERS[name][0]: None for name in results if name in CONTENDERS}
    packages.pop("torch", None)
    return [
        timing.table([*head, "peak memory, MB"], rows),
        explain(args),
        *([f"Not installed, left out: {', '.join(missing)} ({how})."] if missing else []),
        timing.origin("benchmarks.throughput", *packages),
    ]


def explain(args: argparse.Namespace) -> str:
    num_pictures = sum(len(list(path.iterdir())) for path in args.folder.iterdir())
    return (
        f"{num_pictures} JPEGs, a fifth of them for validation; {args.image_size} pixels, batches "
        f"of {args.batch_size}; {args.rounds} rounds, all in turn. {timing.NOTE} images/s counts "
        "the training steps of the epochs after the first, with the loading of their pictures. "
        "Seconds count from the start of the process: imports, decoding, validation and "
        "checkpoints included. Ratios are computed within each round."
    )


if __name__ == "__main__":
    main()
