"""Many files decoded at once, in a process for each CPU.

Threads would do, as Pillow lets go of the interpreter while it decodes, and start 0.2 s sooner.
But one file that crashes a C decoder would then end the whole training, and one that never ends
could not be stopped.
"""

import os
import resource
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from data.cpus import num_cpus
from data.decode import Inspection, UnusableImage, inspect

SECONDS_PER_FILE = 60.0  # the slowest honest file takes about 2
# What decoding one file may use; `limits` refuses by its own estimate long before.
MEMORY_LIMIT_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Job:
    """A file to inspect, and the sizes of the pictures to make of it."""

    path: str
    sizes: tuple[int, ...] = ()


Result = Inspection | UnusableImage


def decode_in_order(
    jobs: Iterable[Job], window: int | None = None, num_workers: int | None = None
) -> Generator[Result, None, None]:
    """Yield what came of every job, in the order of the jobs, however many there are.

    Jobs are taken only as they are needed, and while one file is slow the others run ahead of it
    by no more than the window: so the memory does not grow with the number of files.

    Args:
        jobs: what to do; may have no end.
        window: the largest number of files in hand at once, 1 or more; 16 per worker by default.
        num_workers: processes; by default one for each CPU that this process may use.
    """
    num_workers = num_workers or num_cpus()
    window = window or 16 * num_workers
    todo = iter(jobs)
    in_hand = deque(islice(todo, window))
    while in_hand:
        try:
            yield from _decode(in_hand, todo, min(num_workers, len(in_hand)))
        except BrokenProcessPool:  # one of the files in hand has ended its worker
            if window > 1:
                suspects = list(in_hand)
                in_hand.clear()
                yield from decode_in_order(suspects, window=1)
            else:
                _check_workers_start()
                in_hand.popleft()
                yield UnusableImage("crashes the decoder")
        in_hand.extend(islice(todo, window - len(in_hand)))


def _decode(in_hand: deque[Job], todo: Iterator[Job], num_workers: int) -> Iterator[Result]:
    """Yield the results of the jobs in hand, and replace each by the next one to do.

    Ends early after a file that took too long, whose worker is stopped.

    Raises:
        BrokenProcessPool: a worker died; the jobs without a result are still in hand.
    """
    with start_workers(num_workers) as pool:
        futures = deque(pool.submit(_inspect, job) for job in in_hand)
        while futures:
            try:  # files are begun in order: this one has begun when all before it are done
                result = futures[0].result(timeout=SECONDS_PER_FILE)
            except TimeoutError:
                in_hand.popleft()
                yield UnusableImage(f"too slow: not decoded within {SECONDS_PER_FILE:.0f} s")
                return
            futures.popleft()
            in_hand.popleft()
            yield result
            for job in islice(todo, 1):
                in_hand.append(job)
                futures.append(pool.submit(_inspect, job))


@contextmanager
def start_workers(num_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give a pool whose processes end with the block, whatever ends that."""
    name = "OPENBLAS_NUM_THREADS"  # numpy's threads would only hinder the other workers
    before = os.environ.get(name)
    os.environ[name] = "1"
    pool = ProcessPoolExecutor(num_workers, get_context("spawn"), initializer=_start_worker)
    try:
        yield pool
    finally:
        for process in list((pool._processes or {}).values()):  # from 3.14 on: kill_workers()
            process.kill()
        pool.shutdown(cancel_futures=True)
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _check_workers_start() -> None:
    """Tell a worker that a file has ended from one that never comes to life."""
    try:
        with start_workers(1) as pool:
            pool.submit(os.getpid).result()
    except BrokenProcessPool as error:
        raise RuntimeError("the decode workers do not start; see what they print above") from error


def _start_worker() -> None:
    """Make this process fit to decode hostile files."""
    os.setsid()  # Ctrl-C is for the parent; Linux shares a busy CPU among sessions
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _silence_libraries()
    if sys.platform == "linux":  # elsewhere the kernel does not count the heap under this name
        limit = _data_bytes() + MEMORY_LIMIT_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _end_with_parent() -> None:
    """End this process when its parent is gone, even if that was killed."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _silence_libraries() -> None:
    """Close file descriptor 2 to libtiff, which writes there what is wrong with a file."""
    ours = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    sys.stderr = os.fdopen(ours, "w")  # a traceback of ours is still to be seen


def _data_bytes() -> int:
    """What this process has of the memory that RLIMIT_DATA counts."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))


def _inspect(job: Job) -> Result:
    try:
        return inspect(job.path, job.sizes)
    except UnusableImage as error:
        return UnusableImage(str(error), error.sha256)  # without its cause, which may not pickle
