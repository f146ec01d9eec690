"""Decode many files in parallel, in one process per CPU.

Threads would be as fast, because Pillow releases the GIL. But in a thread, a file that crashes a C
decoder would end the training, and a decoder that never returns could not be stopped.
"""

import math
import os
import resource
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from data.decode import Inspection, UnusableImage, inspect

SECONDS_PER_FILE = 60.0  # the slowest valid file takes about 2 s
MEMORY_LIMIT_BYTES = 2**30  # per worker; `data.decode` refuses files that need over 640 MB

Result = Inspection | UnusableImage


def decode_in_order(
    paths: Iterable[str],
    sizes: Sequence[int],
    window: int | None = None,
    num_workers: int | None = None,
) -> Generator[Result, None, None]:
    """Yield the result of every file, in order.

    The memory does not grow with the number of files: a path is read only when it is needed, and
    at most `window` files are in progress.

    Args:
        sizes: sides in pixels, as in `data.decode.inspect`.
        window: the largest number of files in progress, 1 or more; 16 per worker by default.
        num_workers: one per CPU by default.
    """
    num_workers = num_workers or num_cpus()
    window = window or 16 * num_workers
    decode = partial(try_inspect, sizes=sizes, seconds=SECONDS_PER_FILE)
    todo = iter(paths)
    pending = deque(islice(todo, window))
    while pending:
        try:
            with start_workers(min(num_workers, len(pending))) as pool:
                futures = deque(pool.submit(decode, path) for path in pending)
                while futures:
                    result = futures.popleft().result()
                    pending.popleft()
                    yield result
                    for path in islice(todo, 1):
                        pending.append(path)
                        futures.append(pool.submit(decode, path))
        except BrokenProcessPool:  # one of the files in progress has crashed its worker
            if window > 1:  # decode them one by one to find out which
                suspects = list(pending)
                pending.clear()
                yield from decode_in_order(suspects, sizes, window=1)
            else:
                pending.popleft()
                yield UnusableImage(f"crashes the decoder, or takes over {SECONDS_PER_FILE:.0f} s")
        pending.extend(islice(todo, window - len(pending)))


def num_cpus(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the number of CPUs that this process may use: the smaller of affinity and quota.

    The quota is that of the container (control groups, version 2): "200000 100000" (microseconds
    per period) or "max 100000".
    """
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
    num = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no quota: no such file, or "max"
        used, period = map(int, quota.read_text().split())
        num = min(num, math.ceil(used / period))
    return num


def try_inspect(path: str, sizes: Sequence[int], seconds: float = 0) -> Result:
    """Return what `inspect` returns or raises; end this process after some seconds, unless 0."""
    signal.setitimer(signal.ITIMER_REAL, seconds)  # SIGALRM ends the process
    try:
        return inspect(path, sizes)
    except UnusableImage as error:
        return UnusableImage(str(error))  # without its traceback, which keeps the pixels in memory
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def start_workers(num_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool whose processes are killed at the end of the block."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for the workers
    limit = (MEMORY_LIMIT_BYTES,)
    pool = ProcessPoolExecutor(num_workers, get_context("spawn"), _start_worker, limit)
    # Ctrl-C must reach only the parent, because a worker would print a traceback.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        try:  # each call starts a worker, which inherits the blocked signal
            started = [pool.submit(os.getpid) for _ in range(num_workers)]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            started[0].result()
        except BrokenProcessPool as error:  # no file is to blame
            raise RuntimeError("the workers do not start; see their output above") from error
        yield pool
    finally:
        for process in list((pool._processes or {}).values()):  # from 3.14 on: kill_workers()
            process.kill()
        pool.shutdown(cancel_futures=True)


def _start_worker(memory_limit_bytes: int) -> None:
    """Prepare this worker process to decode hostile files."""
    os.setsid()  # Linux shares a busy CPU equally between sessions
    threading.Thread(target=_end_with_parent, daemon=True).start()
    ours = os.dup(2)  # libtiff writes its warnings to descriptor 2
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    sys.stderr = os.fdopen(ours, "w")  # tracebacks of Python stay visible
    if sys.platform == "linux":  # on other systems, the limit does not count the heap
        status = Path("/proc/self/status").read_text()
        used_bytes = 1024 * int(status.partition("VmData:")[2].split()[0])
        limit = used_bytes + memory_limit_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _end_with_parent() -> None:
    """End this process when its parent ends, even if the parent was killed."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
