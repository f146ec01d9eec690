"""Start programs in processes of their own without importing torch again, which takes seconds.

A server imports everything once and forks a process per program.
"""

import itertools
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import alembic.migration  # noqa: F401 - for optuna's storage
import matplotlib.figure  # noqa: F401 - for reports
import optuna  # noqa: F401 - for sweeps
import sqlalchemy.orm  # noqa: F401 - for optuna's storage
import torch
import torch._dynamo  # every optimizer imports it, which takes a second

import crossent.__main__
import train
from crossent.errors import run_main
from tests import drill
from tests.training.parts import STEPS_PER_EPOCH, make_run

ROOT = Path(__file__).resolve().parents[1]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.forked"])
NUMBERS = itertools.count()
FEW_BYTES = 5_000  # enough for each file of a tiny run except a checkpoint
SMOKE = ("-c", "tests/tiny.yaml", "train.threads=1", "train.checkpoint_every=1 steps")


def send(*signums: int) -> Callable[[Path], None]:
    def send_all(run: Path) -> None:
        for signum in signums:
            os.kill(os.getpid(), signum)

    return send_all


MISHAPS: dict[str, Callable[[Path], None]] = {
    "killed": send(signal.SIGKILL),
    "SIGTERM": send(signal.SIGTERM),
    "SIGINT": send(signal.SIGINT),
    "SIGHUP": send(signal.SIGHUP, signal.SIGHUP),  # from the kernel and from the shell
    "SIGTERM twice": send(signal.SIGTERM, signal.SIGTERM),
    "disk full": lambda run: resource.setrlimit(resource.RLIMIT_FSIZE, (FEW_BYTES, FEW_BYTES)),
    "folder removed": shutil.rmtree,
    "asleep": lambda run: time.sleep(60),
}


@dataclass(frozen=True)
class Mishap:
    """An event that happens to a process once: at a place of `tests.drill`, from a step on."""

    what: str  # a key of `MISHAPS`
    place: str  # a key of `drill.PLACES`
    step: int = 1

    def arm(self, run: Path) -> None:
        mishaps = [MISHAPS[self.what]]
        drill.arm(self.place, self.step, lambda: mishaps.pop()(run) if mishaps else None)


def train_tiny(run: Path, mishap: Mishap | None, every_steps: int | None) -> None:
    """Start or resume the run that `make_run` makes."""
    torch.set_num_threads(1)
    torch.manual_seed(4711)  # another state than that of the run, which a resume must restore
    if mishap:
        mishap.arm(run)
    every = f"{every_steps or STEPS_PER_EPOCH} steps"
    tiny = make_run(run, half_life=4, checkpoint_every=every)
    with tiny.folder.in_use():
        tiny.start_or_resume()
        tiny.fit()


def command(
    words: Sequence[str], mishap: Mishap | None, environment: dict[str, str], out: Path, err: Path
) -> None:
    """Run train.py, or python -m crossent if the first word is "crossent"; keep what it prints."""
    os.environ |= environment
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.chdir(ROOT)
    torch.set_num_threads(1)
    if mishap:
        mishap.arm(Path(words[-1]))
    sys.exit(run_main(*crossent_or_train(words)))


def crossent_or_train(words: Sequence[object]) -> tuple[Callable[[Sequence[str]], int], list[str]]:
    """Return the main function of a command, and its arguments."""
    arguments = [str(word) for word in words]
    if arguments[0] == "crossent":
        return crossent.__main__.main, arguments[1:]
    return train.main, arguments


def start_run(path: Path, mishap: Mishap | None = None, every: int | None = None) -> BaseProcess:
    process = CONTEXT.Process(target=train_tiny, args=(path, mishap, every))
    process.start()
    return process


def end_of(process: BaseProcess, timeout_s: float = 60) -> int | None:
    """Wait for a process; return its exit code, which is -9 if it was killed."""
    process.join(timeout_s)
    return process.exitcode


class Command:
    """A running command, as a user types it; the last word is the folder of the run."""

    def __init__(
        self, folder: Path, *words: object, mishap: Mishap | None = None, **environment: str
    ) -> None:
        folder.mkdir(exist_ok=True)
        number = next(NUMBERS)
        self.files = folder / f"{number}.out", folder / f"{number}.err"
        self.process = CONTEXT.Process(
            target=command,
            args=([str(word) for word in words], mishap, environment, *self.files),
        )
        self.process.start()

    def end(self, status: int, timeout_s: float = 60) -> tuple[str, str]:
        """Wait for the end of the command; return its standard output and standard error."""
        code = end_of(self.process, timeout_s)
        out, err = (path.read_text(encoding="utf-8") for path in self.files)
        assert code == status, f"exit status {code}\n{out}{err}"
        return out, err


def environments(size: int) -> list[dict[str, str]]:
    """Return the environments that torchrun gives to `size` processes of one run."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    return [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]
