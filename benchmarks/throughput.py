"""The same small CNN on the same folder of JPEGs: crossent against what people use instead.

    python -m benchmarks.throughput [FOLDER] [--rounds 3] [--epochs 4] [--write]

Every contender is a process of its own, started in turn, `--rounds` times. `--write` puts the table
and a description of the machine into docs/benchmarks.md.
"""

import argparse
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contenders.common import STARTED

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ROOT.parent / "shared" / "photos_full"
RESULTS = ROOT / "docs" / "benchmarks.md"

# Name, what it needs installed, the module and its options.
CONTENDERS = {
    "crossent, cold cache": ("torch", "ours", []),
    "crossent, warm cache": ("torch", "ours", ["--cache=WARM"]),
    "plain PyTorch loop": ("torch", "plain", []),
    "plain loop, tuned": ("torch", "plain", ["--tuned"]),
    "ceiling: the model alone": ("torch", "ceiling", []),
}


@dataclass
class Results:
    """What was measured of one contender, a number a round."""

    images_per_s: list[float] = field(default_factory=list)  # of training, from the second epoch
    first_step_s: list[float] = field(default_factory=list)
    all_epochs_s: list[float] = field(default_factory=list)  # process start to the last epoch's end
    peak_mb: list[float] = field(default_factory=list)

    def add(self, found: dict[str, list[float]], peak_mb: float) -> None:
        epochs = found["train_s"][1:] or found["train_s"]  # the first one warms up
        self.images_per_s.append(found["num_images"] * len(epochs) / sum(epochs))  # type: ignore[operator]
        self.first_step_s.append(found["first_step_s"])  # type: ignore[arg-type]
        self.all_epochs_s.append(found["ended_s"][-1])
        self.peak_mb.append(peak_mb)


def main() -> None:
    args = parse_arguments()
    names = [name for name, (needs, *_) in CONTENDERS.items() if importlib.util.find_spec(needs)]
    results = {name: Results() for name in names}
    with tempfile.TemporaryDirectory() as folder:
        pictures = split(args.folder, Path(folder) / "pictures")
        warm = Path(folder) / "cache"
        run("ours", [f"--cache={warm}"], pictures, args, epochs=1)  # fills the warm cache
        for number in range(args.rounds):
            for name in names:
                print(f"round {number + 1}: {name}", file=sys.stderr)
                _, module, options = CONTENDERS[name]
                options = [option.replace("WARM", str(warm)) for option in options]
                results[name].add(*run(module, options, pictures, args, args.epochs))
    text = page(results, args)
    print(text)
    if args.write:
        RESULTS.write_text(text, encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=PHOTOS, help="FOLDER/CLASS/*.jpg")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--write", action="store_true", help="to docs/benchmarks.md")
    return parser.parse_args()


def split(folder: Path, into: Path) -> Path:
    """Links to every fifth picture for validation, the others for training: the same for all."""
    for class_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        for number, picture in enumerate(sorted(class_folder.iterdir())):
            place = into / ("val" if number % 5 == 0 else "train") / class_folder.name
            place.mkdir(parents=True, exist_ok=True)
            (place / picture.name).symlink_to(picture.resolve())
    return into


def run(
    module: str, options: list[str], pictures: Path, args: argparse.Namespace, epochs: int
) -> tuple[dict[str, list[float]], float]:
    """Start a contender; what it reports, and the peak memory of it and its children in MB."""
    command = [
        sys.executable, "-m", f"benchmarks.contenders.{module}", str(pictures),
        f"--epochs={epochs}", f"--image-size={args.image_size}", f"--batch-size={args.batch_size}",
        *options,
    ]  # fmt: skip
    environment = {**os.environ, STARTED: str(time.monotonic())}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with peak_memory(process.pid) as peak:
        out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"{module} failed:\n{err}")
    return json.loads(out.splitlines()[-1]), peak[0] / 1e6


@contextmanager
def peak_memory(pid: int) -> Iterator[list[float]]:
    """Watch a process and its children, shared pages counted once: the peak in bytes."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            peak[0] = max(peak[0], sum(map(proportional_set_size, family(pid))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for member in found:  # grows while it is read
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # it has ended meanwhile
    return found


def proportional_set_size(pid: int) -> float:
    """Bytes of memory, where a page that n processes share counts 1/n for each."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def page(results: dict[str, Results], args: argparse.Namespace) -> str:
    """The table as Markdown: medians, with the smallest and the largest in brackets."""
    base = statistics.median(results["plain PyTorch loop"].images_per_s)
    head = (
        f"| contender | images/s | ratio | first step, s | start to end of epoch {args.epochs}, s "
        "| peak memory, MB |\n|---|---|---|---|---|---|"
    )
    rows = [
        f"| {name} | {spread(r.images_per_s, 0)} "
        f"| {statistics.median(r.images_per_s) / base:.2f} | {spread(r.first_step_s, 1)} "
        f"| {'' if 'ceiling' in name else spread(r.all_epochs_s, 1)} | {spread(r.peak_mb, 0)} |"
        for name, r in results.items()
    ]
    return "\n".join(["# Benchmarks", "", describe(args), "", head, *rows, ""])


def spread(values: list[float], digits: int) -> str:
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def describe(args: argparse.Namespace) -> str:
    import torch

    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((li.split(": ")[1] for li in lines if "model name" in li), processor)
    num_pictures = sum(len(list(path.iterdir())) for path in args.folder.iterdir())
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    disk_gb = shutil.disk_usage(ROOT).total / 1e9
    return (
        f"`python -m benchmarks.throughput --rounds {args.rounds} --epochs {args.epochs}`: "
        f"{num_pictures} JPEGs, {args.image_size} pixels, batches of {args.batch_size}, medians of "
        f"{args.rounds} rounds (smallest to largest). images/s counts training from the second "
        "epoch on; the seconds count everything from the start of the process, validation too. "
        "The ratio is to the plain loop.\n\n"
        f"{processor}, {os.cpu_count()} cores, {memory_gb:.0f} GB of memory, {disk_gb:.0f} GB of "
        f"disk, {platform.system()}, Python {platform.python_version()}, torch {torch.__version__}."
    )


if __name__ == "__main__":
    main()
