"""How much memory a process and its children take at most. (Linux; elsewhere 0)"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE_S = 0.5  # between two looks, which take some milliseconds of a core each


@contextmanager
def peak_memory(pid: int) -> Iterator[list[float]]:
    """Watch a process and its children, shared pages counted once: the peak in bytes."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(PAUSE_S):
            peak[0] = max(peak[0], sum(map(proportional_set_size, family(pid))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for member in found:  # grows while it is read
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # it has ended meanwhile
    return found


def proportional_set_size(pid: int) -> float:
    """Bytes of memory, where a page that n processes share counts 1/n for each."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
