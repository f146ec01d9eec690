"""The trainer: a step, an epoch, a validation; `run.py` adds log, checkpoints and best model."""

import math
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossent.device import autocast
from crossent.evaluation.evaluate import Evaluator
from crossent.loss import cross_entropy
from crossent.model_file import first_not_finite
from crossent.training.batch_norm import set_momentum
from crossent.training.distributed import ALONE, Processes, add_up
from crossent.training.not_finite import NotFinite, explain, find_cause
from crossent.training.optim import Schedule, TrainingLoss, WeightAverage
from data.batches import Batch, TrainBatches
from data.sampler import Ids
from models.head import train_mode

# Logits to collect before they are counted: counting after each step would take 1.3 ms of a step of
# 25 ms on a CPU, and would have to wait for a GPU.
MAX_UNCOUNTED = 1 << 18
GRAIN = 2.0**-20  # nats; sums of multiples of this are exact, so their order does not matter


@dataclass
class Totals:
    """Sums over samples. The mean is taken at the end: a mean of batch means would be wrong."""

    E: float = 0.0  # nats
    correct: float = 0.0
    count: float = 0

    def add(self, E: float, correct: float, count: int) -> None:
        self.E += E
        self.correct += correct
        self.count += count

    def means(self) -> dict[str, float]:
        return {"E": self.E / self.count, "accuracy": self.correct / self.count}


@dataclass
class Progress:
    """The progress of a run: what a checkpoint contains besides tensors and generators."""

    epoch: int = 0  # finished epochs
    batch: int = 0  # finished steps of the current epoch
    train: Totals = field(default_factory=Totals)  # of the current epoch
    train_s: float = 0.0  # time spent in the steps of the current epoch
    elapsed_s: float = 0.0  # of the whole run until this process began
    best_E: float | None = None
    best_epoch: int = 0
    num_records: int = 0  # lines of metrics.jsonl
    done: bool = False  # whether the last line is the end

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> "Progress":
        """Return the progress that `asdict` gave; ignore entries of other versions."""
        known = {f.name: found[f.name] for f in fields(cls) if f.name in found}
        return cls(**known | {"train": Totals(**found["train"])})


@dataclass
class Trainer:
    """A model and everything that trains it."""

    model: nn.Module
    criterion: TrainingLoss
    optimizer: torch.optim.Optimizer
    batches: TrainBatches
    evaluator: Evaluator  # on the validation pictures; has the device and the precision
    schedule: Schedule
    processes: Processes = ALONE
    average: WeightAverage | None = None  # if there is one, its model is evaluated
    is_pretrained: bool = False  # whether the model started from the weights of another one
    progress: Progress = field(default_factory=Progress)
    losses: Tensor = field(init=False)  # (2, N) per picture: the sum of its losses, their number
    uncounted: list[tuple[Ids, Tensor, Tensor]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.losses = torch.zeros(2, len(self.batches.image_set), dtype=torch.float64)

    @property
    def evaluated(self) -> nn.Module:
        """The model that is validated and stored."""
        return self.average.model if self.average else self.model

    @property
    def step(self) -> int:
        """The number of finished steps of the whole run."""
        return self.progress.epoch * len(self.batches) + self.progress.batch

    def train_step(self, batch: Batch, lr: float | None = None) -> None:
        """Train for one step: SGD along the negative gradient of E, the article's (5.2).

        Raises:
            NotFinite: the loss or the gradient is not finite; the weights have not changed.
        """
        lr = self.schedule.lr_at(self.step) if lr is None else lr
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_share", 1.0)
        if not self.is_pretrained:
            set_momentum(self.model, self.step)
        with autocast(self.evaluator.device, self.evaluator.precision):
            logits = self.model(batch.images)  # (B, K)
            loss = self.criterion(logits, batch.target)  # mean E of this process's part
        self.optimizer.zero_grad()
        loss = loss * self.share_of(batch)
        loss.backward()
        learning = (p for group in self.optimizer.param_groups for p in group["params"])
        loss, gradients = loss.detach(), [p.grad for p in learning if p.grad is not None]
        if self.processes.size > 1:
            self.processes.record_step(self.step)
            self.processes.add_all([*gradients, loss])
        norm = torch.nn.utils.get_total_norm(gradients)
        if not torch.isfinite(loss + norm):
            what = f"the loss is {loss:g} and the norm of the gradient {norm:g}"
            raise NotFinite(explain(self, f"{what}. {find_cause(self, batch)}"))
        self.optimizer.step()
        self.progress.batch += 1
        if self.average:
            self.average.update(self.model, self.step)
        self.uncounted.append((batch.sample_ids, logits.detach(), batch.target))
        if len(self.uncounted) * logits.numel() >= MAX_UNCOUNTED:
            self.count_steps()

    def share_of(self, batch: Batch) -> Tensor | float:
        """Return the total weight of this process's samples, as a share of the whole batch's."""
        if self.processes.size == 1:
            return 1.0
        own = self.criterion.weights(batch.target).sum()
        return own / add_up(own.clone())

    def count_steps(self) -> None:
        """Add the last steps to the totals, and to the losses per picture with unmixed labels."""
        if not self.uncounted:
            return
        ids, logits, targets = zip(*self.uncounted, strict=True)
        self.uncounted.clear()
        own, z = np.concatenate(ids), torch.cat(logits).cpu().double()  # Apple's mps has no double
        self.progress.train.add(*sum_E_and_correct(z, torch.cat(targets).cpu()), len(own))
        labels = torch.from_numpy(self.batches.image_set.labels[own])
        losses = in_grains(cross_entropy(z, labels, reduction="none"))
        both = torch.stack([losses, torch.ones_like(losses)])
        self.losses.index_add_(1, torch.from_numpy(own), both)

    def train_totals(self) -> Totals:
        """Return the sums of the current epoch over all processes."""
        self.count_steps()
        return Totals(*self.processes.add_numbers(astuple(self.progress.train)))

    def train_epoch(self) -> Iterator[None]:
        """Do the remaining steps of the current epoch; yield after each."""
        train_mode(self.model)
        start = time.perf_counter()
        for batch in self.batches.epoch(self.progress.epoch, self.progress.batch):
            self.train_step(batch)
            self.progress.train_s += time.perf_counter() - start
            yield
            start = time.perf_counter()

    def validate(self) -> Tensor:
        """Return what `Evaluator` returns, with the rows of all processes."""
        return self.processes.total(self.evaluator(self.evaluated))

    def finish_epoch(self, val: Tensor) -> dict[str, Any]:
        """Count the epoch as finished and return its line of metrics.jsonl; `val`: `validate`."""
        p, train = self.progress, self.train_totals()
        E, _, accuracy = val.mean(dim=0).tolist()
        if not math.isfinite(E):
            weight = first_not_finite(self.evaluated.state_dict())
            cause = "all weights are finite" if weight is None else f"{weight} is not finite"
            raise NotFinite(explain(self, f"E on validation is {E:g}; {cause}"))
        record = {
            "kind": "epoch",
            "epoch": p.epoch + 1,
            "step": self.step,
            "lr": self.schedule.lr_at(self.step - 1),
            "train": train.means(),
            "val": {"E": E, "accuracy": accuracy},
            "images_per_s": train.count / p.train_s,
        }
        p.epoch, p.batch, p.train, p.train_s = p.epoch + 1, 0, Totals(), 0.0
        return record


def sum_E_and_correct(logits: Tensor, target: Tensor) -> tuple[float, float]:
    """Return the sum of E, without smoothing and weights, and the number of correct predictions.

    With mixup the target (B, K) is soft: a prediction of class k counts as t_k.
    """
    predicted = logits.argmax(dim=1, keepdim=True)
    target = target.double() if target.ndim == 2 else target
    right = target.gather(1, predicted) if target.ndim == 2 else predicted == target[:, None]
    E = cross_entropy(logits, target, reduction="none")
    return in_grains(E).sum().item(), in_grains(right.double()).sum().item()


def in_grains(values: Tensor) -> Tensor:
    """Round to multiples of GRAIN, so that a sum does not depend on the order of its terms."""
    return (values / GRAIN).round() * GRAIN
