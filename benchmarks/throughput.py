"""The same small CNN on the same folder of JPEGs: crossent against what people use instead.

    python -m benchmarks.throughput [FOLDER] [--rounds 3] [--epochs 20] [--write]

Every contender is a process of its own, started in turn, `--rounds` times. Those that are not
installed are left out: requirements-bench.txt has them, for an environment of its own, whose python
then runs this. `--write` puts the table into docs/benchmarks.md.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contenders.common import STARTED
from benchmarks.memory import peak_memory
from benchmarks.page import ROOT, origin, ratio, spread, table, write_section

PHOTOS = ROOT.parent / "shared" / "photos_full"
TITLE = "Training, beside others"
FEW_EPOCHS = 4

# Name, what it needs installed, the module and its options.
PLAIN, CEILING = "plain PyTorch loop", "ceiling: the model alone"
CONTENDERS = {
    "crossent, cold cache": ("torch", "ours", []),
    "crossent, warm cache": ("torch", "ours", ["--cache=WARM"]),
    PLAIN: ("torch", "plain", []),
    "plain loop, tuned": ("torch", "plain", ["--tuned"]),
    "timm": ("timm", "with_timm", []),
    "lightning": ("lightning", "with_lightning", []),
    "fastai": ("fastai", "with_fastai", []),
    "ultralytics": ("ultralytics", "with_ultralytics", []),
    "ultralytics, cache=ram": ("ultralytics", "with_ultralytics", ["--tuned"]),
    CEILING: ("torch", "ceiling", []),
}


@dataclass
class Results:
    """What was measured of one contender, a number a round."""

    images_per_s: list[float] = field(default_factory=list)  # of training, from the second epoch
    val_images_per_s: list[float] = field(default_factory=list)  # of validation, likewise
    first_step_s: list[float] = field(default_factory=list)
    ended_s: list[list[float]] = field(default_factory=list)  # from process start, of each epoch
    peak_mb: list[float] = field(default_factory=list)

    def add(self, found: dict[str, Any], peak_mb: float) -> None:
        late = slice(1 if len(found["train_s"]) > 1 else 0, None)  # the first epoch warms up
        val_s = found["val_s"][late]
        self.images_per_s.append(sum(found["images"][late]) / sum(found["train_s"][late]))
        self.val_images_per_s.append(found["num_val"] * len(val_s) / sum(val_s))
        self.first_step_s.append(found["first_step_s"])
        self.ended_s.append(found["ended_s"])
        self.peak_mb.append(peak_mb)

    def after(self, epochs: int) -> list[float]:
        """Seconds from the start of the process to the end of that many epochs."""
        return [ended_s[epochs - 1] for ended_s in self.ended_s]


def main() -> None:
    args = parse_arguments()
    here = {name for name, (needs, *_) in CONTENDERS.items() if importlib.util.find_spec(needs)}
    results = {name: Results() for name in CONTENDERS if name in here}
    with tempfile.TemporaryDirectory() as folder:
        pictures = split(args.folder, Path(folder) / "pictures")
        warm = Path(folder) / "cache"
        run("ours", [f"--cache={warm}"], pictures, args, epochs=1)  # fills the warm cache
        for number in range(args.rounds):
            for name, result in results.items():
                print(f"round {number + 1}: {name}", file=sys.stderr)
                _, module, options = CONTENDERS[name]
                options = [option.replace("WARM", str(warm)) for option in options]
                result.add(*run(module, options, pictures, args, args.epochs))
    text = section(results, args)
    print(text)
    if args.write:
        write_section(TITLE, text)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=PHOTOS, help="FOLDER/CLASS/*.jpg")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
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
) -> tuple[dict[str, Any], float]:
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


def section(results: dict[str, Results], args: argparse.Namespace) -> str:
    """The table, what it counts, and who is missing."""
    lengths = sorted({min(FEW_EPOCHS, args.epochs), args.epochs})
    base, ceiling = results[PLAIN], results[CEILING]
    head = ["", "images/s", "x plain", "of the ceiling", "validation, images/s", "first step, s"]
    head += [f"to the end of epoch {epochs}, s" for epochs in lengths]
    rows = []
    for name, r in results.items():
        share = statistics.median(r.images_per_s) / statistics.median(ceiling.images_per_s)
        row = [name, spread(r.images_per_s), ratio(r.images_per_s, base.images_per_s)]
        row += [f"{share:.1%}", spread(r.val_images_per_s)]
        if name == CEILING:
            row += [""] * (1 + len(lengths))
        else:
            row += [spread(r.first_step_s, 1), *(spread(r.after(n), 1) for n in lengths)]
        rows.append([*row, spread(r.peak_mb)])
    text = table([*head, "peak memory, MB"], rows)
    return "\n\n".join([text, explain(args), *missing(results), command(results, args)])


def explain(args: argparse.Namespace) -> str:
    num_pictures = sum(len(list(path.iterdir())) for path in args.folder.iterdir())
    return (
        f"{num_pictures} JPEGs, a fifth of them for validation; {args.image_size} pixels, batches "
        f"of {args.batch_size}; rounds, taken in turn: {args.rounds}. images/s counts everything "
        "from the end of an epoch's validation to the end of the next epoch's training, from the "
        "second epoch on. Seconds count from the start of the process, all else included."
    )


def missing(results: dict[str, Results]) -> list[str]:
    names = [name for name in CONTENDERS if name not in results]
    how = "(pip install -r requirements-bench.txt, in an environment of its own)"
    return [f"Not installed, left out: {', '.join(names)} {how}."] if names else []


def command(results: dict[str, Results], args: argparse.Namespace) -> str:
    words = f"python -m benchmarks.throughput --rounds {args.rounds} --epochs {args.epochs}"
    packages = {CONTENDERS[name][0]: None for name in results}
    del packages["torch"]
    return origin(words, *packages)


if __name__ == "__main__":
    main()
