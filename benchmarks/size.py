"""Whether cost grows with the data set by more than the shuffle.

    python -m benchmarks.size [--sizes 1000 300000] [--rounds 3] [--steps 100] [--write]

Made pictures, in a memory-mapped file as the cache keeps them; the trainer that train.py builds.
Every measurement is a process of its own, and the sizes take turns.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.page import ROOT, origin, spread, table, write_section
from crossent.cli import run_main

if TYPE_CHECKING:
    from crossent.training.trainer import Trainer
    from data.batches import Batch
    from data.images import Data

TITLE = "The size of the data set"
IMAGE_SIZE, TRAIN_SIZE = 64, 80  # pixels
NUM_CLASSES = 3
NUM_VAL = 300
NUM_DIFFERENT = 1000
NUM_IGNORED = 10  # steps


def make_pictures(path: Path, num_images: int) -> None:
    """(num_images, TRAIN_SIZE, TRAIN_SIZE, 3) uint8 noise, the same thousand again and again."""
    shape = (num_images, TRAIN_SIZE, TRAIN_SIZE, 3)
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    noise = np.random.default_rng(0).integers(0, 256, (NUM_DIFFERENT, *shape[1:]), np.uint8)
    for start in range(0, num_images, NUM_DIFFERENT):
        images[start : start + NUM_DIFFERENT] = noise[: num_images - start]


def load(path: Path, num_images: int) -> "Data":
    """The first of the made pictures as a data set."""
    from data.images import Data, ImageSet

    images = np.load(path, mmap_mode="r")[:num_images]
    labels = np.arange(num_images) % NUM_CLASSES
    train = ImageSet(images, labels, [f"made/{i}.jpg" for i in range(num_images)])
    val = np.zeros((NUM_VAL, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    names = train.names[:1] * NUM_VAL
    return Data(train, ImageSet(val, np.arange(NUM_VAL) % NUM_CLASSES, names), ["a", "b", "c"], "")


def measure(path: Path, num_images: int, num_steps: int) -> dict[str, float]:
    """What steps, the beginning of an epoch and a checkpoint cost, and the memory at the end."""
    from crossent.build import build
    from crossent.config import load_settings
    from crossent.training.run_folder import RunFolder
    from models import MODEL_NAMES

    settings = load_settings(None, [], model_names=MODEL_NAMES).settings
    with tempfile.TemporaryDirectory() as folder:
        run = build(settings, load(path, num_images), RunFolder(Path(folder)))
        trainer = run.trainer
        trainer.model.train()
        steps = timed_steps(trainer, num_steps)[NUM_IGNORED:]
        begin_s = []
        for epoch in range(3):
            start = time.perf_counter()
            next(trainer.batches.epoch(epoch))
            begin_s.append(time.perf_counter() - start)
        start = time.perf_counter()
        run.save()
        save_s = time.perf_counter() - start
    return {
        "images_per_s": sum(n for n, _ in steps) / sum(s for _, s in steps),
        "begin_s": statistics.median(begin_s),
        "save_s": save_s,
        "memory_mb": anonymous_mb(),
    }


def timed_steps(trainer: "Trainer", num_steps: int) -> list[tuple[int, float]]:
    """Pictures and seconds of each step, its batch included."""
    found, start = [], time.perf_counter()
    for batch in itertools.islice(all_batches(trainer), num_steps):
        trainer.train_step(batch)
        now = time.perf_counter()
        found.append((len(batch), now - start))
        start = now
    return found


def all_batches(trainer: "Trainer") -> "Iterator[Batch]":
    return itertools.chain.from_iterable(map(trainer.batches.epoch, itertools.count()))


def anonymous_mb() -> float:
    """Memory of this process without the pages of files, which the system can take back. (Linux)"""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1e3


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.size", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 300_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--measure", nargs=2, metavar=("FILE", "NUM"), help="in this process")
    parser.add_argument("--write", action="store_true", help="to docs/benchmarks.md")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    args = parse_arguments(words)
    if args.measure:
        path, num_images = args.measure
        print(json.dumps(measure(Path(path), int(num_images), args.steps)))
        return 0
    found: dict[int, list[dict[str, Any]]] = {num: [] for num in args.sizes}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pictures.npy")
        make_pictures(path, max(args.sizes))
        for _, num in itertools.product(range(args.rounds), args.sizes):
            command = [sys.executable, "-m", "benchmarks.size", f"--steps={args.steps}"]
            command += ["--measure", str(path), str(num)]
            done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
            found[num].append(json.loads(done.stdout))
    text = section(found, args)
    print(text)
    if args.write:
        write_section(TITLE, text)
    return 0


def section(found: dict[int, list[dict[str, Any]]], args: argparse.Namespace) -> str:
    head = ("training pictures", "images/s", "to begin an epoch, ms", "of its time")
    rows = []
    for num, results in found.items():
        values = {key: [result[key] for result in results] for key in results[0]}
        epoch_s = num / statistics.median(values["images_per_s"])
        rows.append(
            (
                f"{num:,}",
                spread(values["images_per_s"]),
                spread([1e3 * s for s in values["begin_s"]], 1),
                f"{statistics.median(values['begin_s']) / epoch_s:.2%}",
                spread([1e3 * s for s in values["save_s"]]),
                spread(values["memory_mb"]),
            )
        )
    text = table((*head, "a checkpoint, ms", "memory, MB"), rows)
    notes = "To begin an epoch is its order, all its random numbers, and its first batch."
    sizes = " ".join(map(str, args.sizes))
    words = f"python -m benchmarks.size --sizes {sizes} --rounds {args.rounds} --steps {args.steps}"
    return "\n\n".join([text, notes, origin(words)])


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
