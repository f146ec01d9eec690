"""The trials of a sweep in optuna's journal, a line of JSON an event, for several processes.

A trial is claimed by a lock on a file of its own, which the system takes back when the process
dies: a running trial whose lock is free was killed, and whoever comes next goes on with it.
"""

import fcntl
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from crossent.config import FIELDS
from crossent.experiments.space import Choices, Range, Sweep, SweepSettings, grid_values

NAME = "sweep"
FIRST_RANDOM = 10  # trials before TPE has something to learn from; of a short sweep a quarter
FIRST_WHOLE = 4  # trials that nothing is compared with
POLL_S = 0.02
LONGEST_LINE = 1 << 20  # bytes


def try_lock(file: IO[str]) -> bool:
    """Whether the lock is ours now; it lasts until the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class FileLock:
    """Waits for its turn; what optuna asks of a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: IO[str] | None = None

    def acquire(self) -> bool:
        self.file = self.path.open("a+", encoding="utf-8")
        while not try_lock(self.file):
            time.sleep(POLL_S)
        return True

    def release(self) -> None:
        assert self.file
        self.file.close()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class JournalLock(FileLock):
    """For the journal: with it comes a file of whole lines, whatever a power cut has left."""

    def __init__(self, journal: Path) -> None:
        super().__init__(journal.with_name(".journal.lock"))
        self.journal = journal

    def acquire(self) -> bool:
        super().acquire()
        drop_torn_line(self.journal)
        return True


def drop_torn_line(path: Path) -> None:
    """Cut off what stands after the last line break."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LONGEST_LINE))
        _, _, torn = file.read().rpartition(b"\n")
        if torn:
            file.truncate(size - len(torn))


@dataclass(frozen=True)
class Trials:
    """Who tries what."""

    folder: Path
    sweep: Sweep
    study: optuna.Study

    @classmethod
    def open(cls, folder: Path, sweep: Sweep) -> "Trials":
        """Of a folder that may have some already."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        with FileLock(folder / ".lock"):
            journal = folder / "journal.jsonl"
            lock = JournalLock(journal)
            backend = JournalFileBackend(str(journal), lock_obj=lock)  # type: ignore[arg-type]
            study = optuna.create_study(
                study_name=NAME,
                storage=JournalStorage(backend),
                direction="minimize",
                load_if_exists=True,
            )
            if sweep.plan.strategy == "grid":
                for point in sweep.grid()[len(study.trials) : sweep.num_trials]:
                    study.enqueue_trial(point)
        return cls(folder, sweep, study)

    @property
    def all(self) -> list[optuna.trial.FrozenTrial]:
        """Those that have begun."""
        found = self.study.get_trials(deepcopy=False)
        return [trial for trial in found if trial.state != TrialState.WAITING]

    @contextmanager
    def claimed(self) -> Iterator[optuna.Trial | None]:
        """A trial that nobody else works on, for the block; None if there is none left.

        It ends with `study.tell`; without, it is up for the next one to claim it.
        """
        with FileLock(self.folder / ".lock"):
            trial, claim = self._claim()
        try:
            yield trial
        finally:
            if claim:
                claim.close()

    def _claim(self) -> tuple[optuna.Trial | None, IO[str] | None]:
        begun = self.all
        for left in (trial for trial in begun if trial.state == TrialState.RUNNING):
            claim = self._file(left.number).open("a+", encoding="utf-8")
            if try_lock(claim):
                return optuna.Trial(self.study, left._trial_id), claim
            claim.close()
        number = len(begun)
        if number >= self.sweep.num_trials:
            return None, None
        # What is tried depends on (seed, number) and what is known, not on the past of a process.
        self.study.sampler = make_sampler(self.sweep.plan, self.sweep.num_trials, number)
        trial = self.study.ask(distributions(self.sweep))
        claim = self._file(trial.number).open("a+", encoding="utf-8")
        try_lock(claim)
        return trial, claim

    def _file(self, number: int) -> Path:
        return self.folder / f".trial-{number + 1:03}.lock"


def make_sampler(plan: SweepSettings, num_trials: int, number: int) -> optuna.samplers.BaseSampler:
    seed = int(np.random.SeedSequence([plan.seed, number]).generate_state(1)[0])
    if plan.strategy == "tpe":
        first = max(FIRST_WHOLE, min(FIRST_RANDOM, num_trials // 4))
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=first, constant_liar=True)
    return optuna.samplers.RandomSampler(seed=seed)


def make_pruner(plan: SweepSettings, num_steps: int) -> optuna.pruners.BasePruner:
    """Worse than three in four of those that were not stopped, after a third of the steps.

    Half of them, the usual choice, would be many: those that are left get better and better.
    """
    if not plan.prune:
        return optuna.pruners.NopPruner()
    return optuna.pruners.PercentilePruner(
        75.0, n_startup_trials=FIRST_WHOLE, n_warmup_steps=max(1, num_steps // 3)
    )


def distributions(sweep: Sweep) -> dict[str, BaseDistribution]:
    is_grid = sweep.plan.strategy == "grid"
    return {
        name: CategoricalDistribution(list(grid_values(axis)))
        if is_grid or isinstance(axis, Choices)
        else distribution(name, axis)
        for name, axis in sweep.space.items()
    }


def distribution(name: str, axis: Range) -> BaseDistribution:
    low, high, log, step = axis.low, axis.high, axis.log, axis.step
    if step:  # optuna wants an end that the steps meet
        high = grid_values(axis)[-1]  # type: ignore[assignment]
    if FIELDS[name].annotation in (int, int | None):
        return IntDistribution(int(low), int(high), log, int(step or 1))
    return FloatDistribution(low, high, log, step)
