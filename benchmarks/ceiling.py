"""What raises the ceiling: a whole step on one batch in memory, with one thing changed at a time.

    python -m benchmarks.ceiling [--rounds 5] [--seconds 0.5] [--no-compile] [--write]

All variants take turns in one process. A step is forward, loss, zero_grad, backward and the
optimizer's step; the first row is how crossent trains.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.page import origin, ratio, spread, table, write_section
from crossent.cli import run_main

TITLE = "What raises the ceiling"
NUM_CLASSES = 3


@dataclass(frozen=True)
class Way:
    """How to compute a step."""

    precision: str = "bf16"
    channels_last: bool = True
    batch_size: int = 32
    threads: int = 2
    optimizer: str = "foreach"
    deterministic: bool = True
    width: int = 32
    stem: str = "3 x 3"
    image_size: int = 64
    compiled: bool = False


def ways(threads: int) -> dict[str, Way]:
    """What to try, by name; the first is the one to compare with."""
    base = Way(threads=threads)
    return {
        "as crossent trains": base,
        "float32": replace(base, precision="fp32"),
        "contiguous layout": replace(base, channels_last=False),
        "batches of 16": replace(base, batch_size=16),
        "batches of 64": replace(base, batch_size=64),
        "batches of 128": replace(base, batch_size=128),
        "one thread": replace(base, threads=1),
        "optimizer: a loop over tensors": replace(base, optimizer="for-loop"),
        "optimizer: fused": replace(base, optimizer="fused"),
        "any algorithm, exact or not": replace(base, deterministic=False),
        "width 24": replace(base, width=24),
        "width 16": replace(base, width=16),
        "first stage 5 x 5, stride 2, no pooling": replace(base, stem="5 x 5"),
        "pictures of 48 pixels": replace(base, image_size=48),
        "torch.compile": replace(base, compiled=True),
    }


def make_step(way: Way) -> Callable[[], None]:
    """A step, ready to be called again and again."""
    import torch
    from torch import nn

    from crossent.device import autocast, prepare
    from crossent.loss import CrossEntropyLoss
    from models import build_model

    torch.manual_seed(0)
    device = torch.device("cpu")
    model = build_model("small_cnn", NUM_CLASSES, width=way.width)
    if way.stem != "3 x 3":
        norm = nn.BatchNorm2d(way.width)
        conv = nn.Conv2d(3, way.width, 5, stride=2, padding=2, bias=False)
        model.features[0] = nn.Sequential(conv, norm, nn.ReLU(inplace=True))  # type: ignore[assignment, operator]
    model = prepare(model, device).train()
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    images = torch.randn(way.batch_size, 3, way.image_size, way.image_size).to(memory_format=layout)
    target = torch.arange(way.batch_size) % NUM_CLASSES
    kinds = {"foreach": {"foreach": True}, "fused": {"fused": True}, "for-loop": {"foreach": False}}
    optimizer = torch.optim.SGD(
        model.parameters(), 0.01, 0.9, nesterov=True, weight_decay=5e-4, **kinds[way.optimizer]
    )
    criterion = CrossEntropyLoss()
    forward = torch.compile(model) if way.compiled else model

    def step() -> None:
        with autocast(device, way.precision):
            loss = criterion(forward(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def images_per_s(way: Way, step: Callable[[], None], seconds: float) -> float:
    """Of as many steps as fit into so many seconds, but one at least."""
    import torch

    torch.set_num_threads(way.threads)
    torch.use_deterministic_algorithms(way.deterministic, warn_only=True)
    step()  # after another way has used the caches
    start, steps, elapsed = time.perf_counter(), 0, 0.0
    while not steps or elapsed < seconds:
        step()
        steps += 1
        elapsed = time.perf_counter() - start
    return steps * way.batch_size / elapsed


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ceiling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each way in each round")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument("--write", action="store_true", help="to docs/benchmarks.md")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    args = parse_arguments(words)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # empty: the compiler starts from nothing
        text = section(*measure(args), args)
    print(text)
    if args.write:
        write_section(TITLE, text)
    return 0


def measure(args: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Images a second of each way in each round, and the seconds of each way's first step."""
    import torch

    from crossent.device import compute_the_same_every_time, keep_freed_memory

    keep_freed_memory()
    compute_the_same_every_time()
    tried = ways(torch.get_num_threads())
    no_compiler = not (shutil.which("g++") or shutil.which("clang++"))
    if args.no_compile or no_compiler:
        del tried["torch.compile"]
    steps = {name: make_step(way) for name, way in tried.items()}
    first_s = {}
    for name, way in tried.items():
        torch.set_num_threads(way.threads)
        start = time.perf_counter()
        steps[name]()
        first_s[name] = time.perf_counter() - start
    found: dict[str, list[float]] = {name: [] for name in tried}
    for _ in range(args.rounds):
        for name, way in tried.items():
            found[name].append(images_per_s(way, steps[name], args.seconds))
    return found, first_s


def section(
    found: dict[str, list[float]], first_s: dict[str, float], args: argparse.Namespace
) -> str:
    base = next(iter(found.values()))
    head = ("a step of the small CNN", "images/s", "x the first row", "the first step takes, s")
    rows = [
        (name, spread(values), ratio(values, base), f"{first_s[name]:.1f}")
        for name, values in found.items()
    ]
    words = f"python -m benchmarks.ceiling --rounds {args.rounds} --seconds {args.seconds:g}"
    return "\n\n".join([table(head, rows), *compile_pays(found, first_s), origin(words)])


def compile_pays(found: dict[str, list[float]], first_s: dict[str, float]) -> list[str]:
    """After how many pictures torch.compile has earned the time that it takes."""
    if "torch.compile" not in found:
        return ["torch.compile was left out."]
    plain, compiled = (
        statistics.median(found[name]) for name in (next(iter(found)), "torch.compile")
    )
    if compiled <= plain:
        return ["torch.compile never earns the time that it takes."]
    num_images = first_s["torch.compile"] / (1 / plain - 1 / compiled)
    return [f"torch.compile has earned the time that it takes after {num_images:,.0f} pictures."]


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
