"""How long an epoch takes, found out before the first one and without a trace."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from crossent.training.checkpoint import own_generators, restore_generators
from crossent.training.loop import Trainer
from models.head import train_mode

NUM_STEPS = 12
NUM_IGNORED = 2  # the first ones, while libraries choose their kernels


@contextmanager
def trial(trainer: Trainer) -> Iterator[Trainer]:
    """A copy of the trainer to do steps with; the generators are put back afterwards."""
    before = own_generators()
    model, optimizer = copy.deepcopy((trainer.model, trainer.optimizer))  # they share parameters
    progress = copy.deepcopy(trainer.progress)
    try:
        yield replace(trainer, model=model, optimizer=optimizer, progress=progress, average=None)
    finally:
        restore_generators(before, rank=0)


def seconds_an_epoch(trainer: Trainer, clock: Callable[[], float] = time.perf_counter) -> float:
    """Measured on a few training steps and one validation; nothing of the run changes."""
    with trial(trainer) as copied:
        copied.lr_at = lambda step: 0.0
        train_mode(copied.model)
        times = [clock()]
        for batch in islice(copied.batches.epoch(0), NUM_IGNORED + NUM_STEPS):
            copied.train_step(batch)
            times.append(clock())
        first = min(NUM_IGNORED, len(times) - 2)
        step_s = (times[-1] - times[first]) / (len(times) - 1 - first)
        start = clock()
        copied.validate()
        return step_s * len(trainer.batches) + clock() - start
