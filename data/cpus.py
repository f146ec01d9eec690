"""How many processes are worth starting."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def num_cpus() -> int:
    """Return the CPUs that this process may use: its affinity, cut to its container's quota."""
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:  # macOS
        available = os.cpu_count() or 1
    return max(1, min([available, *map(math.ceil, quotas(CGROUPS))]))


def quotas(root: Path, own: Path = Path("/proc/self/cgroup")) -> Iterator[float]:
    """Yield each limit on CPU time, in CPUs, of the control groups that this process is in.

    Version 2 keeps "200000 100000" (microseconds of each period) or "max 100000" in one file,
    version 1 has a file for each number, and -1 for no limit.
    """
    for folder in (root, root / "cpu", *_own_groups(root, own)):
        try:
            if (folder / "cpu.max").exists():
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota = (folder / "cpu.cfs_quota_us").read_text()
                period = (folder / "cpu.cfs_period_us").read_text()
            if quota != "max" and int(quota) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):  # no such group, or no such controller
            continue


def _own_groups(root: Path, own: Path) -> list[Path]:
    """Return the folders of this process's groups and of those above them."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    groups = []
    for line in lines:  # "0::/system.slice/docker-1.scope", or of version 1 "4:cpu,cpuacct:/a"
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            folder = root / ("cpu" if controllers else "") / path.strip("/")
            groups += [folder, *(p for p in folder.parents if root in p.parents)]
    return groups
