"""The cost of a larger data set, of a larger model and of a start, measured on train.py.

    python -m benchmarks.scale size           larger folders: seconds, memory, images/s
    python -m benchmarks.scale checkpoint     larger models: seconds and bytes of a checkpoint
    python -m benchmarks.scale start          --help, and the first step, with and without cache
    python -m benchmarks.scale start --against OTHER_CHECKOUT        before and after a change

Other arguments, such as `train.threads=1` or `-c configs/photos.yaml`, are passed to train.py.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import timing
from benchmarks.timing import NOTE, PHOTOS, ROOT, in_turn, ratio, spread, spread_table, table, watch
from crossent.config import load_settings
from crossent.train_run import Caller, begin
from crossent.training.console import Console
from crossent.training.distributed import ALONE
from crossent.training.run_folder import RunFolder

MODELS = {
    "small_cnn": ["model.name=small_cnn"],
    "small_cnn, four times as wide": ["model.name=small_cnn", "model.width=128"],
    "resnet18": ["model.name=torchvision/resnet18"],
}
NUM_SAVES = 10


def main() -> None:
    parser = timing.make_parser(__doc__, rounds=3)
    parts = {part.__name__: part for part in (size, checkpoint, start)}
    parser.add_argument("what", choices=parts)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 50_000])
    parser.add_argument("--folder", type=Path, default=PHOTOS, help="of pictures, for start")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="a second one, for start")
    args, words = parser.parse_known_args()
    args.words = words
    with tempfile.TemporaryDirectory() as folder:
        text = parts[args.what](args, Path(folder))
    print(f"{text}\n\n{NOTE}\n\n{timing.origin('benchmarks.scale')}")


def size(args: argparse.Namespace, folder: Path) -> str:
    """Measure a first start on a folder, a second one with its cache, and the speed of an epoch."""
    roots = {f"{num:,}": make_pictures(folder / str(num), num) for num in args.sizes}

    def measure(name: str, _: int) -> list[float]:
        out = tempfile.mkdtemp(dir=folder)
        words = ["train.py", "data.source=folder", f"data.root={roots[name]}", *args.words]
        words += [f"data.cache_dir={out}/cache", "train.epochs=2"]
        cold, warm = watch([*words, "--dry-run"]), watch([*words, "--dry-run"])
        whole = watch([*words, f"--out={out}/run"], ROOT, Path(out, "run", "metrics.jsonl"))
        return [cold.seconds, warm.seconds, whole.images_per_s, max(cold.peak_mb, whole.peak_mb)]

    head = ("pictures", "first step, decoding, s", "decoded before, s", "images/s", "memory, MB")
    return spread_table(head, in_turn(list(roots), args.rounds, measure), (1, 1, 0, 0))


def make_pictures(root: Path, num_images: int) -> Path:
    """Make JPEGs of 24 x 24 pixels, no two alike."""
    random = np.random.default_rng(0)
    for number in range(num_images):
        path = root / "abc"[number % 3] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((24, 24)).save(path)
    return root


def checkpoint(args: argparse.Namespace, folder: Path) -> str:
    """Measure the files of a run and the time to write its checkpoint, for each model."""

    def measure(name: str, _: int) -> list[float]:
        words = ["data.num_images=60", "train.epochs=1", *MODELS[name], *args.words]
        console, path = Console(silent=True), Path(tempfile.mkdtemp(dir=folder))
        settings, caller = load_settings(None, words).settings, Caller("", silent=True)
        run = begin(settings, RunFolder(path), ALONE, caller, console)[0]
        run.fit()
        start = time.perf_counter()
        for _ in range(NUM_SAVES):
            run.save()
        ms = 1e3 * (time.perf_counter() - start) / NUM_SAVES
        weights = sum(p.numel() for p in run.trainer.model.parameters()) * 4 / 1e6
        last, best = (file.stat().st_size / 1e6 for file in (run.folder.last, run.folder.model))
        return [weights, last, best, (last + best) / weights, ms, ms / weights]

    files = ("last.safetensors, MB", "model.safetensors, MB", "both, x weights")
    head = ("model", "float32 weights, MB", *files, "a checkpoint, ms", "ms per MB of weights")
    return spread_table(head, in_turn(list(MODELS), args.rounds, measure), (1, 1, 1, 1, 0, 1))


def start(args: argparse.Namespace, folder: Path) -> str:
    """Measure --help, and the start up to the first step, of one checkout or of two in turn."""
    checkouts = {"s": ROOT} | ({"other checkout, s": args.against} if args.against else {})

    def measure(checkout: str, _: int) -> dict[str, float]:
        step = ["train.py", "--dry-run", "data.source=folder", f"data.root={args.folder.resolve()}"]
        step += [f"data.cache_dir={tempfile.mkdtemp(dir=folder)}", *args.words]
        commands = {
            "python train.py --help": ["train.py", "--help"],
            "python -m crossent --help": ["-m", "crossent", "--help"],
            "first step, decoding the pictures": step,
            "first step, pictures decoded before": step,
        }
        root = checkouts[checkout].resolve()
        return {name: watch(words, root).seconds for name, words in commands.items()}

    found, rows = in_turn(list(checkouts), args.rounds, measure), []
    for name in found["s"][0]:
        both = [[seconds[name] for seconds in rounds] for rounds in found.values()]
        ratios = [ratio(*both)] if args.against else []
        rows.append([name, *(spread(seconds, 2) for seconds in both), *ratios])
    return table(["", *checkouts, *(["x the other"] if args.against else [])], rows)


if __name__ == "__main__":
    main()
