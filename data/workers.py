"""Many files decoded at once, each core with a process of its own.

Threads would do, as Pillow lets go of the interpreter while it decodes, and start 0.2 s sooner.
But one file that crashes a C decoder would then end the whole training, and one that never ends
could not be stopped. So: a process a core, watched, replaced when it dies.
"""

import itertools
import json
import os
import queue
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data.decode import Facts, Inspection, UnusableImage
from data.worker import READY

SECONDS_A_FILE = 60.0  # the slowest honest file takes about 2
_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Job:
    """A file to inspect, and the sizes of the pictures to make of it."""

    path: str
    sizes: tuple[int, ...] = ()


Result = Inspection | UnusableImage
Task = tuple[int, Job]


def inspect_files(
    jobs: Sequence[Job], num_workers: int | None = None, description: str = "decoding"
) -> Generator[tuple[int, Result], None, None]:
    """Yields (index of the job, what came of it) for every job, in the order they are done.

    Args:
        jobs: what to do.
        num_workers: processes; all cores this process may use by default.
        description: of the progress bar on stderr, which only a terminal shows.
    """
    if not jobs:
        return
    num_workers = min(num_workers or _num_cores(), len(jobs))
    # Bounded: when the consumer writes slower than we decode, we wait instead of piling up.
    with _crew(num_workers, max_done=4 * num_workers) as crew:
        for task in enumerate(jobs):
            crew.todo.put(task)
        for _ in tqdm(jobs, desc=description, unit="img", disable=None):
            yield crew.next_result()


def inspect_in_order(
    jobs: Iterable[Job], window: int, num_workers: int | None = None
) -> Iterator[Result]:
    """Yields what came of every job, in the order of the jobs, however many there are.

    Jobs are taken only as they are needed, and while one file is slow the others run ahead of it
    by no more than the window: so the memory does not grow with the number of files.

    Args:
        jobs: what to do; may have no end.
        window: the largest number of files in hand at once, 1 or more.
        num_workers: processes; all cores this process may use by default.
    """
    tasks = enumerate(jobs)
    first = list(itertools.islice(tasks, window))
    if not first:
        return
    ready: dict[int, Result] = {}
    with _crew(min(num_workers or _num_cores(), len(first)), max_done=window) as crew:
        for task in first:
            crew.todo.put(task)
        num_taken = len(first)
        for index in itertools.count():
            if index == num_taken:
                return
            while index not in ready:
                number, result = crew.next_result()
                ready[number] = result
            yield ready.pop(index)
            for task in itertools.islice(tasks, 1):
                crew.todo.put(task)
                num_taken += 1


@contextmanager
def _crew(num_workers: int, max_done: int) -> Iterator["_Crew"]:
    crew = _Crew(queue.Queue(max_done))
    try:
        for _ in range(num_workers):
            crew.workers.append(_Worker(crew.todo, crew.done))
        yield crew
    finally:  # all done, or Ctrl-C, or the caller lost interest
        for worker in crew.workers:
            worker.stop()
        for _ in crew.workers:
            crew.todo.put(None)  # wakes one that waits for a task
        for worker in crew.workers:
            worker.thread.join()


def _num_cores() -> int:
    if sys.platform == "linux":  # a container or a cluster may have given us fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass
class _Crew:
    """Some workers, what is left for them to do, and what they have done."""

    done: "queue.Queue[tuple[int, Result] | Exception]"
    todo: "queue.SimpleQueue[Task | None]" = field(default_factory=queue.SimpleQueue)
    workers: "list[_Worker]" = field(default_factory=list)

    def next_result(self) -> tuple[int, Result]:
        while True:
            try:
                result = self.done.get(timeout=1.0)
            except queue.Empty:
                for worker in self.workers:
                    worker.kill_if_stuck()
                continue
            if isinstance(result, Exception):
                raise result
            return result


class _Worker:
    """A thread that feeds one process at a time, and starts another when that one dies."""

    def __init__(
        self,
        todo: "queue.SimpleQueue[Task | None]",
        done: "queue.Queue[tuple[int, Result] | Exception]",
    ) -> None:
        self.todo, self.done = todo, done
        self.stopped = False
        self.deadline = float("inf")  # of the file in hand, on time.monotonic()
        self.process = _start_process()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.stopped = True
        self.process.kill()

    def kill_if_stuck(self) -> None:
        if time.monotonic() > self.deadline:
            self.process.kill()

    def _run(self) -> None:
        try:
            _await_ready(self.process)
            for index, job in iter(self.todo.get, None):
                if self.stopped:
                    break
                self._deliver((index, self._inspect(job)))
        except Exception as error:  # a bug of ours: the consumer's thread is to raise it
            self._deliver(error)
        self.process.kill()
        self.process.communicate()

    def _deliver(self, result: tuple[int, Result] | Exception) -> None:
        while not self.stopped:
            try:
                return self.done.put(result, timeout=0.2)
            except queue.Full:
                pass  # look again whether anybody still wants it

    def _inspect(self, job: Job) -> Result:
        self.deadline = time.monotonic() + SECONDS_A_FILE
        try:
            header, pixels = _ask(self.process, job)
        except EOFError:
            return self._replace_process()
        finally:
            self.deadline = float("inf")
        return _result(header, pixels, job.sizes)

    def _replace_process(self) -> UnusableImage:
        late = time.monotonic() > self.deadline
        self.process.kill()
        self.process.communicate()
        status = self.process.returncode
        if not self.stopped:
            self.process = _start_process()
            _await_ready(self.process)
        if late:
            return UnusableImage(f"too slow: not decoded within {SECONDS_A_FILE:.0f} s")
        return UnusableImage(f"crashes the decoder (exit status {status})")


def _start_process() -> "subprocess.Popen[bytes]":
    environment = dict(os.environ)
    paths = [str(_ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    environment["OPENBLAS_NUM_THREADS"] = "1"  # its buffers for threads would eat the limit
    # -P: a folder named "data" where the user happens to stand must not be taken for ours.
    command = [sys.executable, "-P", "-m", "data.worker"]
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C on the terminal is for us alone; we stop the workers
    )


def _await_ready(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdout
    greeting = process.stdout.read(len(READY))
    if greeting != READY and process.wait() >= 0:  # negative: killed, by us or by the user
        raise RuntimeError("the decoding process did not start; its own message stands above")


def _ask(process: "subprocess.Popen[bytes]", job: Job) -> tuple[dict[str, Any], bytes]:
    """One question and its answer. Raises EOFError when the process is no more."""
    assert process.stdin
    question = json.dumps({"path": job.path, "sizes": job.sizes}).encode() + b"\n"
    try:
        process.stdin.write(question)
        process.stdin.flush()
    except BrokenPipeError:
        raise EOFError from None
    text_bytes, pixel_bytes = struct.unpack(">II", _read(process, 8))
    return json.loads(_read(process, text_bytes)), _read(process, pixel_bytes)


def _read(process: "subprocess.Popen[bytes]", num_bytes: int) -> bytes:
    assert process.stdout
    content = process.stdout.read(num_bytes)
    if len(content) < num_bytes:
        raise EOFError
    return content


def _result(header: dict[str, Any], pixels: bytes, sizes: tuple[int, ...]) -> Result:
    if "reason" in header:
        return UnusableImage(header["reason"], header["sha256"])
    facts = Facts(**{**header, "odd": tuple(header["odd"])})
    pictures, start = [], 0
    for size in sizes:
        flat = np.frombuffer(pixels, np.uint8, count=3 * size * size, offset=start)
        pictures.append(flat.reshape(size, size, 3))
        start += flat.size
    return Inspection(facts, pictures)
