"""Start programs in processes of their own without importing torch again, which takes seconds.

A server imports everything once and forks a process per program.
"""

import itertools
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import crossent.__main__
import train
from crossent.errors import run_main
from tests import drill

ROOT = Path(__file__).resolve().parents[1]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([
    "tests.forked", "crossent.train_run", "crossent.report.charts", "filelock",
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "torch.utils.tensorboard",
    "alembic.migration", "optuna", "sqlalchemy.orm",  # for sweeps
])  # fmt: skip
NUMBERS = itertools.count()
FEW_BYTES = 5_000  # enough for each file of a tiny run except a checkpoint
# Two epochs of three steps, with everything that a resume must restore.
SMOKE: tuple[str, ...] = (
    "-c", "tests/tiny.yaml", "train.threads=1", "train.checkpoint_every=1 steps",
    "data.num_images=30", "train.batch_size=8", "data.sampling=balanced", "train.mixup=0.2",
    "train.ema=0.5", "model.dropout=0.2", "data.mean=[0.4, 0.5, 0.6]",
)  # fmt: skip


def send(signum: int, times: int = 1) -> Callable[[Path], None]:
    def send_all(run: Path) -> None:
        for _ in range(times):
            os.kill(os.getpid(), signum)

    return send_all


def lose_reader(run: Path) -> None:
    """Connect the standard output with a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)


def lose_terminal(run: Path) -> None:
    main, terminal = os.openpty()
    os.dup2(terminal, 1)
    os.close(main)
    send(signal.SIGHUP, times=2)(run)  # from the kernel and from the shell


def refuse_compiler(run: Path) -> None:
    assert "torch._dynamo" not in sys.modules, "torch has imported its compiler"


MISHAPS: dict[str, Callable[[Path], None]] = {
    "killed": send(signal.SIGKILL),
    "SIGTERM": send(signal.SIGTERM),
    "SIGINT": send(signal.SIGINT),
    "SIGHUP": send(signal.SIGHUP),
    "SIGTERM twice": send(signal.SIGTERM, times=2),
    "disk full": lambda run: resource.setrlimit(resource.RLIMIT_FSIZE, (FEW_BYTES, FEW_BYTES)),
    "folder removed": shutil.rmtree,
    "asleep": lambda run: time.sleep(60),
    "no reader": lose_reader,
    "no terminal": lose_terminal,
    "no compiler": refuse_compiler,
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


def run_command(
    words: Sequence[str], mishap: Mishap | None, environment: dict[str, str], out: Path, err: Path
) -> None:
    """Run train.py, or python -m crossent if the first word is "crossent"; keep what it prints."""
    import torch

    os.environ |= environment
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.chdir(ROOT)
    torch.set_num_threads(1)
    torch.manual_seed(4711)  # another state than that of the run, which a resume must restore
    if mishap:
        mishap.arm(Path(words[-1]))
    sys.exit(run_main(*crossent_or_train(words)))


def crossent_or_train(words: Sequence[object]) -> tuple[Callable[[Sequence[str]], int], list[str]]:
    """Return the main function of a command, and its arguments."""
    arguments = [str(word) for word in words]
    if arguments[0] == "crossent":
        return crossent.__main__.main, arguments[1:]
    return train.main, arguments


class Command:
    """A running command, as a user types it; the last word is the folder of the run."""

    def __init__(
        self, folder: Path, *words: object, mishap: Mishap | None = None, **environment: str
    ) -> None:
        folder.mkdir(exist_ok=True)
        number = next(NUMBERS)
        self.files = folder / f"{number}.out", folder / f"{number}.err"
        self.process = CONTEXT.Process(
            target=run_command,
            args=([str(word) for word in words], mishap, environment, *self.files),
        )
        self.process.start()

    def wait_for(self, is_reached: Callable[[], object]) -> None:
        deadline = time.monotonic() + 120
        while not is_reached():
            assert time.monotonic() < deadline and self.process.is_alive()
            time.sleep(0.02)

    def end(self, status: int, timeout_s: float = 60) -> tuple[str, str]:
        """Wait for the end of the command; return its standard output and standard error."""
        self.process.join(timeout_s)
        out, err = (path.read_text(encoding="utf-8") for path in self.files)
        code = self.process.exitcode  # -9 if it was killed
        assert code == status, f"exit status {code}\n{out}{err}"
        return out, err
