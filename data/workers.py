"""Many files decoded at once, each core with a process of its own.

Threads would do, as Pillow lets go of the interpreter while it decodes, and start 0.2 s sooner.
But one file that crashes a C decoder would then end the whole training, and one that never ends
could not be stopped. So: a process a core, watched, replaced when it dies.
"""

import json
import os
import queue
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
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
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(jobs)):
        todo.put(index)
    # Bounded: when the consumer writes slower than we decode, we wait instead of piling up.
    done: queue.Queue[tuple[int, Result] | Exception] = queue.Queue(4 * num_workers)
    workers: list[_Worker] = []
    try:
        for _ in range(num_workers):
            workers.append(_Worker(jobs, todo, done))
        for _ in tqdm(jobs, desc=description, unit="img", disable=None):
            yield _next_result(done, workers)
    finally:  # all done, or Ctrl-C, or the caller lost interest
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.thread.join()


def _num_cores() -> int:
    if sys.platform == "linux":  # a container or a cluster may have given us fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _next_result(
    done: "queue.Queue[tuple[int, Result] | Exception]", workers: "list[_Worker]"
) -> tuple[int, Result]:
    while True:
        try:
            result = done.get(timeout=1.0)
        except queue.Empty:
            for worker in workers:
                worker.kill_if_stuck()
            continue
        if isinstance(result, Exception):
            raise result
        return result


class _Worker:
    """A thread that feeds one process at a time, and starts another when that one dies."""

    def __init__(
        self,
        jobs: Sequence[Job],
        todo: "queue.SimpleQueue[int]",
        done: "queue.Queue[tuple[int, Result] | Exception]",
    ) -> None:
        self.jobs, self.todo, self.done = jobs, todo, done
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
            while not self.stopped:
                index = self.todo.get_nowait()
                self._deliver((index, self._inspect(self.jobs[index])))
        except queue.Empty:
            pass
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
