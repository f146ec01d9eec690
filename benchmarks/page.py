"""docs/benchmarks.md: a section for each benchmark, by its command, and how numbers look."""

import os
import platform
import re
import statistics
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from crossent.files import write_text

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

`python -m benchmarks.all --write` writes this page: each section is the output of the command that
it names, on the machine that it names. A cell is the median, with the smallest and the largest in
brackets. What takes turns in one run can be compared, other numbers only roughly.
"""


def write_section(title: str, text: str, page: Path = PAGE) -> None:
    """Put a section in the place of the one of that title, or at the end."""
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    parts = re.split(r"^## ", old, flags=re.MULTILINE)[1:]
    sections = dict(part.split("\n", 1) for part in parts)
    sections[title] = f"\n{text.strip()}\n\n"
    body = "".join(f"## {name}\n{content}" for name, content in sections.items())
    write_text(page, f"{HEAD}\n{body.rstrip()}\n")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median with the smallest and the largest: "1081 (1071 to 1090)"."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def ratio(values: Sequence[float], base: Sequence[float]) -> str:
    """Of the medians."""
    return f"{statistics.median(values) / statistics.median(base):.2f}"


def origin(command: str, *packages: str) -> str:
    """Which command gave the numbers, when and on which machine, with which packages."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "Pillow", *packages))
    return (
        f"`{command}` on {date.today()}: {processor()}, {os.cpu_count()} cores, "
        f"{memory_gb:.0f} GB of memory, {platform.system()}, Python {platform.python_version()}, "
        f"{versions}."
    )


def processor() -> str:
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(": ")[1]
    return platform.processor() or platform.machine()
