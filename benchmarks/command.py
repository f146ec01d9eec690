"""train.py as a whole: how soon --help answers, and two processes against one.

    python -m benchmarks.command [--rounds 3] [--num-images 2000] [--epochs 3] [--write]

One process with two threads and two processes with one thread each, under torchrun, train the same
drawings in turn. images/s are those of metrics.jsonl, from the second epoch on.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.page import ROOT, origin, ratio, spread, table, write_section

TITLE = "The command"
HELPS = {"python train.py --help": ["train.py"], "python -m crossent --help": ["-m", "crossent"]}
ONE, TWO = "1 process, 2 threads", "2 processes, 1 thread each"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def call(words: Sequence[str], threads: int | None = None) -> float:
    """Run python with these words; the seconds it took."""
    environment = {**os.environ, "TORCHELASTIC_ERROR_FILE": os.devnull}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")
    return time.perf_counter() - start


def images_per_s(processes: int, args: argparse.Namespace) -> float:
    """The median of the epochs after the first one."""
    from crossent.training.run_folder import RunFolder

    with tempfile.TemporaryDirectory() as folder:
        threads = 2 // processes
        words = ["train.py", "-c", args.config, f"--out={folder}/run", f"train.threads={threads}"]
        words += [f"data.num_images={args.num_images}", f"train.epochs={args.epochs}"]
        call([*(TORCHRUN if processes > 1 else ()), *words], threads)
        epochs = [r for r in RunFolder(Path(folder, "run")).records() if r["kind"] == "epoch"]
    return float(statistics.median(r["images_per_s"] for r in epochs[1:] or epochs))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--num-images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--config", default="configs/default.yaml")
    parser.add_argument("--write", action="store_true", help="to docs/benchmarks.md")
    args = parser.parse_args()
    help_s: dict[str, list[float]] = {name: [] for name in HELPS}
    speeds: dict[str, list[float]] = {ONE: [], TWO: []}
    for _ in range(args.rounds):
        for name, words in HELPS.items():
            help_s[name].append(call([*words, "--help"]))
        for processes, name in enumerate(speeds, start=1):
            speeds[name].append(images_per_s(processes, args))
    text = section(help_s, speeds, args)
    print(text)
    if args.write:
        write_section(TITLE, text)


def section(
    help_s: dict[str, list[float]], speeds: dict[str, list[float]], args: argparse.Namespace
) -> str:
    helps = [(f"`{name}`", spread(values, 2)) for name, values in help_s.items()]
    rows = [(name, spread(v), ratio(v, speeds[ONE])) for name, v in speeds.items()]
    words = f"python -m benchmarks.command --rounds {args.rounds} --num-images {args.num_images}"
    return "\n\n".join(
        [
            table(("", "s"), helps),
            table(("training on 2 cores", "images/s", "x one process"), rows),
            origin(f"{words} --epochs {args.epochs}"),
        ]
    )


if __name__ == "__main__":
    main()
