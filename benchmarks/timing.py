"""Functions that the benchmarks share: measure a command, and format the numbers."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ROOT.parent / "shared" / "photos_full"
LOOK_S, MEMORY_S = 0.01, 0.5  # between two readings of metrics.jsonl, and of the memory
NOTE = "A cell is the median of the rounds, with the smallest and the largest in brackets."


@dataclass
class Watched:
    """The measurements of a command that has ended."""

    seconds: float = 0.0  # of the whole process
    peak_mb: float = 0.0  # see `memory_mb`
    # the lines of its metrics.jsonl, each with the seconds from the start until it appeared
    records: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    @property
    def epochs(self) -> list[tuple[float, dict[str, Any]]]:
        return [(end_s, record) for end_s, record in self.records if record["kind"] == "epoch"]

    @property
    def images_per_s(self) -> float:
        """Median of the epochs after the first one, which warms up."""
        speeds = [record["images_per_s"] for _, record in self.epochs]
        return float(statistics.median(speeds[1:] or speeds))


def watch(words: Sequence[object], cwd: Path = ROOT, metrics: Path | None = None) -> Watched:
    """Run python with the arguments `words`, and watch its memory and its metrics.jsonl.

    The command is only observed, so any program that writes such lines can be compared.
    """
    done, next_look = Watched(), 0.0
    command = [sys.executable, *map(str, words)]
    with tempfile.TemporaryFile("w+") as output:
        start = time.monotonic()
        process = subprocess.Popen(command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT)
        is_running = True
        while is_running:  # the last reading is after its end
            is_running = process.poll() is None
            if metrics is not None and metrics.exists():  # its last line may be incomplete
                lines = metrics.read_text(encoding="utf-8").split("\n")[len(done.records) : -1]
                done.records += [(time.monotonic() - start, json.loads(line)) for line in lines]
            if time.monotonic() >= next_look:
                done.peak_mb = max(done.peak_mb, memory_mb(process.pid))
                next_look = time.monotonic() + MEMORY_S
            time.sleep(LOOK_S)
        done.seconds = time.monotonic() - start
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} failed in {cwd}:\n{output.read()}")
    return done


def memory_mb(pid: int) -> float:
    """Return the memory of a process and its descendants, without pages of files.

    A page that n processes share counts 1/n in each. Linux only; elsewhere 0.
    """
    process = Path(f"/proc/{pid}")
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
        tasks = [task.read_text() for task in process.glob("task/*/children")]
    except OSError:  # the process has ended
        return 0.0
    kinds = ("Pss_Anon:", "Pss_Shmem:")  # in units of 1,024 bytes
    own = sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(kinds))
    return own + sum(memory_mb(int(child)) for task in tasks for child in task.split())


def make_parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return a parser whose help is the docstring of the benchmark, as it is written."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    return parser


def in_turn(
    names: Sequence[str], num_rounds: int, measure: Callable[[str, int], Any]
) -> dict[str, list[Any]]:
    """Measure each name in each round; every second one goes backwards: a drift affects all."""
    results: dict[str, list[Any]] = {name: [] for name in names}
    for number in range(1, num_rounds + 1):
        for name in names if number % 2 else reversed(names):
            print(f"round {number} of {num_rounds}: {name}", file=sys.stderr)
            results[name].append(measure(name, number))
    return results


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return the median, with the smallest and the largest if they differ.

    >>> spread([1090, 1071, 1081.2])
    '1,081 (1,071 to 1,090)'
    """
    middle, low, high = (f"{f(values):,.{digits}f}" for f in (statistics.median, min, max))
    return middle if low == high else f"{middle} ({low} to {high})"


def ratio(values: Sequence[float], base: Sequence[float]) -> str:
    """Return the spread of the ratios of values to base, round by round.

    >>> ratio([2, 4, 9], [1, 1, 3])
    '3.00 (2.00 to 4.00)'
    """
    return spread([value / other for value, other in zip(values, base, strict=True)], 2)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def spread_table(head: Sequence[str], results: dict[str, list[Any]], digits: Sequence[int]) -> str:
    """Return a table with one row per name: the spread of each number over the rounds."""
    columns = {name: zip(*rounds, strict=True) for name, rounds in results.items()}
    return table(head, [[name, *map(spread, columns[name], digits)] for name in results])


def origin(module: str, *packages: str) -> str:
    """Return the origin of numbers: command, date, machine and packages, also those missing."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    installed = {found.name.lower(): found.version for found in distributions()}
    names = dict.fromkeys(("torch", "pillow", *packages))
    versions = ", ".join(f"{name} {installed.get(name, 'is not installed')}" for name in names)
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    processor = text.partition("model name\t: ")[2].partition("\n")[0] or platform.machine()
    return (
        f"`{' '.join(['python -m', module, *sys.argv[1:]])}` on {date.today()}: "
        f"{processor}, {os.cpu_count()} cores, {memory_gb:.0f} GB of memory, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}."
    )
