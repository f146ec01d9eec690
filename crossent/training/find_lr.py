"""The learning-rate finder: E while the rate grows step by step, and where it falls fastest."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from crossent.errors import UserError
from crossent.files import write_atomic
from crossent.training.not_finite import NotFinite
from crossent.training.trainer import Trainer
from data.batches import Batch
from models.head import train_mode

NUM_STEPS = 100
LOWEST, HIGHEST = 1e-4, 10.0
SMOOTHING = 0.9  # share of the mean so far in the running mean of E
EXPLODED = 2.0  # times the smallest E: no larger rate is worth trying


@dataclass(frozen=True)
class Finding:
    """Shape: both (M,), a step each: the rate, and the running mean of E before the step."""

    lrs: list[float]
    Es: list[float]

    @property
    def suggestion(self) -> float:
        """The rate at which E falls fastest, as a function of log lr.

        Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.

        Raises:
            UserError: E never fell.
        """
        lowest = int(np.argmin(self.Es))
        if lowest < 2:
            raise UserError("E did not fall at any learning rate: nothing can be suggested")
        slopes = np.gradient(self.Es[: lowest + 1], np.log(self.lrs[: lowest + 1]))
        return self.lrs[int(np.argmin(slopes))]


def rate_at(step: int) -> float:
    """From the lowest to the highest, each a constant factor above the last."""
    return LOWEST * math.pow(HIGHEST / LOWEST, step / (NUM_STEPS - 1))


def find_lr(trainer: Trainer) -> Finding:
    """Train for up to 100 steps with ever larger steps; the trainer is of no use afterwards.

    Source of the running mean's correction: Kingma & Ba 2015, "Adam", section 3.
    """
    train_mode(trainer.model)
    lrs: list[float] = []
    Es: list[float] = []
    mean = 0.0
    for step, batch in enumerate(endless_batches(trainer)):
        try:
            E = E_of_step(trainer, batch, rate_at(step))
        except NotFinite:
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * E
        lrs.append(rate_at(step))
        Es.append(mean / (1 - SMOOTHING ** (step + 1)))
        if step == NUM_STEPS - 1 or Es[-1] > EXPLODED * min(Es):
            break
    return Finding(lrs, Es)


def endless_batches(trainer: Trainer) -> Iterator[Batch]:
    for epoch in itertools.count():
        yield from trainer.batches.epoch(epoch)


def E_of_step(trainer: Trainer, batch: Batch, lr: float | None = None) -> float:
    """Do a step, and return E of the whole batch before it, on all processes.

    Args:
        lr: in place of the schedule's.
    """
    before = replace(trainer.train_totals)
    trainer.train_step(batch, lr)
    totals = trainer.train_totals
    own = [totals.E - before.E, totals.count - before.count]
    E, count = trainer.processes.add_numbers(own)
    return E / count


def draw_finding(finding: Finding, path: Path) -> None:
    """E over the rate, with a line at the suggestion."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.plot(finding.lrs, finding.Es, color="#0072b2", linewidth=1.8)
    axes.axvline(finding.suggestion, color="#d55e00", linestyle="--", linewidth=1)
    label = f" optim.lr = {finding.suggestion:.2g}"
    axes.annotate(label, (finding.suggestion, max(finding.Es)), color="#d55e00", va="top")
    axes.set(xscale="log", xlabel="learning rate", ylabel="E, nats per picture (running mean)")
    axes.set_title("E falls fastest at the dashed line", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    write_atomic(path, lambda temporary: figure.savefig(temporary, format="png"))
