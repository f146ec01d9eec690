"""How many processes are worth starting."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def num_cpus() -> int:
    """Return the CPUs that this process may use: its affinity, cut to its container's quota."""
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:  # macOS
        available = os.cpu_count() or 1
    return max(1, min([available, *map(math.ceil, quotas())]))


def quotas(root: Path = Path("/sys/fs/cgroup"), own: str = "/proc/self/cgroup") -> Iterator[float]:
    """Yield each limit on CPU time, in CPUs, of this process's control groups.

    Version 2 keeps "200000 100000" (microseconds of each period) or "max 100000" in one file;
    version 1, below a folder cpu, has a file for each number, and -1 for no limit.
    """
    with suppress(OSError):  # macOS has no such file
        for line in Path(own).read_text().splitlines():  # "0::/a/b", or "4:cpu,cpuacct:/a/b"
            group = Path(line.split(":", 2)[2].strip("/"))
            for folder in (group, *group.parents):
                with suppress(OSError, ValueError):
                    quota, period = (root / folder / "cpu.max").read_text().split()
                    yield int(quota) / int(period)  # ValueError: max
                with suppress(OSError):
                    quota = (root / "cpu" / folder / "cpu.cfs_quota_us").read_text()
                    period = (root / "cpu" / folder / "cpu.cfs_period_us").read_text()
                    if int(quota) > 0:
                        yield int(quota) / int(period)
