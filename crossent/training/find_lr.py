"""The learning-rate finder: train with growing learning rates, and find where E falls fastest."""

import itertools
from collections.abc import Iterator, Sequence
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
SMOOTHING = 0.9  # share of the previous mean in the running mean of E
EXPLODED = 2.0  # stop when E exceeds the smallest E times this


def find_lr(trainer: Trainer) -> tuple[list[float], list[float]]:
    """Train for up to NUM_STEPS steps with growing rates; do not use the trainer afterwards.

    Source of the running mean's correction: Kingma & Ba 2015, "Adam", section 3.

    Returns:
        the rate of each step, and the running mean of E after it.
    """
    train_mode(trainer.model)
    lrs, Es, mean = [], [], 0.0
    rates = np.geomspace(LOWEST, HIGHEST, NUM_STEPS).tolist()
    for lr, batch in zip(rates, endless_batches(trainer), strict=False):
        try:
            mean = SMOOTHING * mean + (1 - SMOOTHING) * do_step(trainer, batch, lr)
        except NotFinite:
            break
        lrs.append(lr)
        Es.append(mean / (1 - SMOOTHING ** len(lrs)))
        if Es[-1] > EXPLODED * min(Es):
            break
    return lrs, Es


def suggest_lr(lrs: Sequence[float], Es: Sequence[float]) -> float:
    """Return the rate where E falls fastest against log lr; raise UserError if E did not fall.

    Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.
    """
    lowest = int(np.argmin(Es)) if Es else 0
    if lowest < 2:
        raise UserError("E did not fall at any learning rate, so none can be suggested")
    slopes = np.gradient(Es[: lowest + 1], np.log(lrs[: lowest + 1]))
    return lrs[int(np.argmin(slopes))]


def draw_rates(lrs: Sequence[float], Es: Sequence[float], suggestion: float, path: Path) -> None:
    """Write a PNG of E against the rate, with a line at the suggestion."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.semilogx(lrs, Es, color="#0072b2", linewidth=1.8)
    axes.axvline(suggestion, color="#d55e00", linestyle="--", linewidth=1)
    axes.set(xlabel="learning rate", ylabel="E, nats per picture (running mean)")
    axes.set_title(f"E falls fastest at optim.lr = {suggestion:.2g}", loc="left")
    write_atomic(path, lambda temporary: figure.savefig(temporary, format="png"))


def endless_batches(trainer: Trainer) -> Iterator[Batch]:
    for epoch in itertools.count():
        yield from trainer.batches.epoch(epoch)


def do_step(trainer: Trainer, batch: Batch, lr: float | None = None) -> float:
    """Train for one step; return E of the batch over all processes, before the weights change."""
    before = trainer.train_totals()
    trainer.train_step(batch, lr)
    after = trainer.train_totals()
    return (after.E - before.E) / (after.count - before.count)
