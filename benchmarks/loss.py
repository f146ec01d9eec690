"""Time and memory of crossent.cross_entropy and of torch's, forward and backward.

    python -m benchmarks.loss                     every case, some minutes
    python -m benchmarks.loss --shapes 128x3 --dtypes float32 --labels hard

The two take turns in one run, so other load of the machine affects both. A ratio is ours / torch's.
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.benchmark import Timer

from benchmarks.timing import make_parser, ratio, spread, table
from crossent import cross_entropy

SHAPES = ("128x3", "32x3", "4096x10", "4096x1000", "512x32000", "2048x50257")
LABELS = ("hard", "soft", "smoothing")
LOSSES: tuple[Callable[..., Tensor], ...] = (cross_entropy, F.cross_entropy)

Inputs = tuple[Tensor, Tensor, float]


def make_inputs(shape: str, dtype: str, labels: str) -> Inputs:
    """Return logits, target and label smoothing of a case."""
    num_samples, num_classes = map(int, shape.split("x"))
    torch.manual_seed(0)
    logits = torch.randn(num_samples, num_classes, dtype=getattr(torch, dtype), requires_grad=True)
    if labels == "soft":
        target = torch.rand(num_samples, num_classes, dtype=logits.dtype)
        return logits, target.div_(target.sum(1, keepdim=True)), 0.0
    target = torch.randint(num_classes, (num_samples,))
    return logits, target, 0.1 if labels == "smoothing" else 0.0


def step(loss: Callable[..., Tensor], inputs: Inputs) -> None:
    """Do one forward and one backward pass, without an earlier gradient."""
    logits, target, label_smoothing = inputs
    logits.grad = None
    loss(logits, target, label_smoothing=label_smoothing).backward()


def milliseconds(loss: Callable[..., Tensor], inputs: Inputs) -> float:
    """Return the time of a step in ms, measured over several steps if it is short."""
    variables = {"step": step, "loss": loss, "inputs": inputs}
    timer = Timer("step(loss, inputs)", globals=variables, num_threads=2)
    return timer.blocked_autorange(min_run_time=2e-3).median * 1e3


def extra_mb(loss: Callable[..., Tensor], inputs: Inputs) -> float:
    """Return the peak memory in MB of a step beyond logits, target and gradient (on Linux)."""
    inputs[0].grad = None
    Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from now on
    before = peak_mb()
    step(loss, inputs)
    return peak_mb() - before - inputs[0].nbytes / 2**20


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024  # in KiB


def main() -> None:
    parser = make_parser(__doc__, rounds=15)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), metavar="NxK")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--labels", nargs="+", default=list(LABELS), choices=LABELS)
    options = parser.parse_args()
    head = ["N x K", "dtype", "labels", "ours, ms", "torch, ms", "ratio"]
    print(table([*head, "logits, MiB", "extra, ours, MiB", "extra, torch, MiB"], []))
    for labels, dtype, shape in product(options.labels, options.dtypes, options.shapes):
        inputs = make_inputs(shape, dtype, labels)
        rounds = [[milliseconds(loss, inputs) for loss in LOSSES] for _ in range(options.rounds)]
        ours, torchs = zip(*rounds, strict=True)
        memory_mb = [inputs[0].nbytes / 2**20, *(extra_mb(loss, inputs) for loss in LOSSES)]
        times = [spread(ours, 3), spread(torchs, 3), ratio(ours, torchs)]
        row = [shape, dtype, labels, *times, *(str(round(mb)) for mb in memory_mb)]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
