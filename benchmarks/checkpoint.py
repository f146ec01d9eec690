"""What checkpoints cost: the share of a run's time that goes into writing them.

    python -m benchmarks.checkpoint                          configs/default.yaml
    python -m benchmarks.checkpoint -c configs/photos.yaml data.root=../photos

An epoch is trained, then a checkpoint (last.safetensors, and model.safetensors as after the best
epoch so far) is written again and again. The share is that of a whole run: a checkpoint at the end
of an epoch, unless `Run.checkpoint_share` skips it, and every `train.checkpoint_every` within one.
"""

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from crossent.build import build, make_data
from crossent.cli import run_main
from crossent.config import load_settings
from crossent.training.run import Run
from crossent.training.run_folder import RunFolder
from models import MODEL_NAMES


def seconds_of(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def epoch_s(run: Run) -> float:
    """Seconds of an epoch with its validation; the first one warms up."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        run.trainer.train_epoch(after_step=lambda: None)
        run.trainer.finish_epoch(run.trainer.validate())
        seconds.append(time.perf_counter() - start)
    return seconds[-1]


def save_all(run: Run) -> None:
    """A checkpoint after the best epoch so far."""
    run.trainer.progress.best_E = float("inf")
    run.keep_best({"epoch": 1, "val": {"E": 1.0, "accuracy": 0.0}})
    run.save()


def seconds_between(run: Run, epoch: float, save: float) -> float:
    """The shortest time between two checkpoints of the run: of the ends of epochs, and within."""
    num_epochs = math.ceil(save / run.checkpoint_share / epoch)
    within = run.checkpoint_every_s or math.inf
    if run.checkpoint_every_steps:
        within = run.checkpoint_every_steps * epoch / len(run.trainer.batches)
    return min(max(1, num_epochs) * epoch, within)


def report(run: Run, epoch: float, saves: Sequence[float]) -> str:
    save = statistics.median(saves)
    between = seconds_between(run, epoch, save)
    num_bytes = run.folder.last.stat().st_size + run.folder.model.stat().st_size
    return "\n".join(
        [
            f"an epoch: {epoch:.2f} s",
            f"a checkpoint of {num_bytes / 1e6:.1f} MB: median {save * 1e3:.1f} ms "
            f"({min(saves) * 1e3:.1f} to {max(saves) * 1e3:.1f}, {len(saves)} times)",
            f"one each {between:.1f} s: {save / between:.2%} of the time",
        ]
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoint", description=__doc__)
    parser.add_argument("-c", "--config")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args(arguments)
    settings = load_settings(args.config, args.overrides, model_names=MODEL_NAMES).settings
    with tempfile.TemporaryDirectory(dir=os.curdir) as folder:  # on the disk of the run
        run = build(settings, make_data(settings), RunFolder(Path(folder)))
        epoch = epoch_s(run)
        saves = [seconds_of(lambda: save_all(run)) for _ in range(args.repeats)]
        print(report(run, epoch, saves))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
