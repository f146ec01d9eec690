"""Time and memory of crossent.cross_entropy against torch's, forward and backward.

    python -m benchmarks.loss                     every case, some minutes
    python -m benchmarks.loss --shapes 128x3 --dtypes float32 --labels hard

Both take turns in one run, so that whatever else the machine does meets both. A ratio is ours /
torch's, of the medians.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from crossent import cross_entropy

SHAPES = ("128x3", "32x3", "4096x10", "4096x1000", "512x32000", "2048x50257")
LABELS = ("hard", "soft", "smoothing")
LOSSES: dict[str, Callable[..., Tensor]] = {"ours": cross_entropy, "torch": F.cross_entropy}
SHORT_S = 2e-3  # calls are timed in groups that take at least this long


def make_case(shape: str, dtype: str, labels: str) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Return logits, target and the further arguments of a case."""
    num_samples, num_classes = map(int, shape.split("x"))
    torch.manual_seed(0)
    logits = torch.randn(num_samples, num_classes, dtype=getattr(torch, dtype), requires_grad=True)
    if labels == "soft":
        target = torch.rand(num_samples, num_classes, dtype=logits.dtype)
        return logits, target.div_(target.sum(1, keepdim=True)), {}
    target = torch.randint(num_classes, (num_samples,))
    return logits, target, {"label_smoothing": 0.1} if labels == "smoothing" else {}


def step(loss: Callable[..., Tensor], case: tuple[Tensor, Tensor, dict[str, float]]) -> None:
    """Go forward and backward once, with no gradient left from before."""
    logits, target, settings = case
    logits.grad = None
    loss(logits, target, **settings).backward()


def timed(function: Callable[[], object], calls: int) -> float:
    """Return the seconds of one call, of `calls` in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def compare(shape: str, dtype: str, labels: str, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each loss in each round, taking turns."""
    case = make_case(shape, dtype, labels)
    steps = {name: partial(step, loss, case) for name, loss in LOSSES.items()}
    once = min(timed(function, 1) for function in [*steps.values(), *steps.values()])
    calls = max(1, round(SHORT_S / once))
    times: dict[str, list[float]] = {name: [] for name in LOSSES}
    for _ in range(rounds):
        for name, function in steps.items():
            times[name].append(timed(function, calls))
    return times


def print_times(shapes: list[str], dtypes: list[str], labels: list[str], rounds: int) -> None:
    """Print a row per case."""
    print("| N x K | dtype | labels | ours, ms (min-max) | torch, ms (min-max) | ratio |")
    print("|---|---|---|---|---|---|")
    for kind, dtype, shape in product(labels, dtypes, shapes):
        times = compare(shape, dtype, kind, rounds)
        median = {name: statistics.median(values) * 1e3 for name, values in times.items()}
        shown = (
            f"{median[name]:.3f} ({min(times[name]) * 1e3:.3f}-{max(times[name]) * 1e3:.3f})"
            for name in LOSSES
        )
        row = (shape, dtype, kind, *shown, f"{median['ours'] / median['torch']:.2f}")
        print("| " + " | ".join(row) + " |", flush=True)


def extra_memory_mb(name: str, shape: str, dtype: str, labels: str) -> float:
    """Return the peak of resident memory beyond logits, target and gradient, in this process."""
    step(LOSSES[name], make_case("512x512", dtype, labels))  # load the code and its buffers first
    case = make_case(shape, dtype, labels)
    before = _peak_mb()
    step(LOSSES[name], case)
    return _peak_mb() - before - case[0].nbytes / 2**20


def _peak_mb() -> float:
    """Return the peak of resident memory. (Linux; ru_maxrss would inherit the parent's peak.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024  # in KiB


def print_memory(shapes: list[str], dtypes: list[str], labels: list[str]) -> None:
    """Print the extra memory of each case, measured in a process of its own."""
    print("| N x K | dtype | labels | logits, MB | extra, ours, MB | extra, torch, MB |")
    print("|---|---|---|---|---|---|")
    for kind, dtype, shape in product(labels, dtypes, shapes):
        size = make_case(shape, dtype, "hard")[0].nbytes / 2**20
        extra = (_in_a_process(name, shape, dtype, kind) for name in LOSSES)
        print("| " + " | ".join((shape, dtype, kind, f"{size:.0f}", *extra)) + " |", flush=True)


def _in_a_process(name: str, shape: str, dtype: str, labels: str) -> str:
    code = (
        "from benchmarks.loss import extra_memory_mb\n"
        f"print(round(extra_memory_mb({name!r}, {shape!r}, {dtype!r}, {labels!r})))"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), metavar="NxK")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--labels", nargs="+", default=list(LABELS), choices=LABELS)
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each loss")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-memory", action="store_true", help="only the times")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print_times(options.shapes, options.dtypes, options.labels, options.rounds)
    if not options.no_memory:
        large = [s for s in options.shapes if make_case(s, "float32", "hard")[0].nbytes > 2**26]
        print_memory(large, options.dtypes, options.labels)


if __name__ == "__main__":
    main()
