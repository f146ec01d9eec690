"""A step, an epoch, a validation. `run.py` adds the log, checkpoints and the best model."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossent.device import autocast, generator_states, set_generators
from crossent.evaluation.confidence import rejection_curve
from crossent.evaluation.evaluate import Evaluator, Totals
from crossent.training.distributed import ALONE, Processes
from crossent.training.not_finite import NotFinite, explain_step, explain_validation
from crossent.training.optim import Schedule, WeightAverage
from crossent.training.samples import SampleLosses, sum_answers
from data.batches import Batch, TrainBatches
from data.sampler import Ids
from models.head import train_mode

MAX_UNCOUNTED = 1 << 18  # logits
NUM_TIMED = 12  # steps that measure the speed, after
NUM_IGNORED = 2  # in which libraries choose their kernels
PHASES = (
    "start", "decode", "wait", "augment", "forward+backward", "validation", "checkpoint", "rest",
)  # fmt: skip


class Stopwatch:
    """Seconds by phase: a phase lasts from the end of the one before it to now.

    A GPU is not waited for: its work counts where the program needs the result, in the step.
    """

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.seconds = dict.fromkeys(PHASES, 0.0)

    def __call__(self, phase: str) -> None:
        """End a phase."""
        now = time.perf_counter()
        self.seconds[phase] += now - self.last
        self.last = now

    def __str__(self) -> str:
        total = sum(self.seconds.values())
        return f"{total:.1f} s: " + ", ".join(
            f"{phase} {seconds / total:.1%}" for phase, seconds in self.seconds.items()
        )


@dataclass
class Progress:
    """Where a run stands. With weights, optimizer and generators it is all that a resume needs."""

    epoch: int = 0  # epochs finished
    batch: int = 0  # steps done in the epoch under way
    train: Totals = field(default_factory=Totals)  # of the epoch under way
    train_s: float = 0.0  # time spent in its steps
    elapsed_s: float = 0.0  # of the whole run, up to the last save
    time_s: dict[str, float] = field(default_factory=dict)  # and the phases it went into
    best_E: float = math.inf
    best_epoch: int = 0
    epochs: int | None = None  # decided by train.minutes
    num_records: int = 0  # lines of metrics.jsonl
    done: bool = False  # the last of them is the end

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"best_E": None if math.isinf(self.best_E) else self.best_E}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Progress":
        best_E = math.inf if fields["best_E"] is None else fields["best_E"]
        return cls(**{**fields, "train": Totals(**fields["train"]), "best_E": best_E})

    def epochs_to_do(self, asked: int, asked_before: int) -> int:
        """Return what train.minutes has decided, if it has, unless more epochs are asked for now.

        Args:
            asked, asked_before: train.epochs now, and when the checkpoint was made.
        """
        raised = asked > max(asked_before, self.epochs or 0)
        return asked if self.epochs is None or raised else self.epochs

    def is_enough(self, epochs: int, patience: int | None) -> bool:
        """Whether all epochs are done, or E on validation has not fallen for `patience` epochs."""
        ran_out = patience is not None and self.epoch - self.best_epoch >= patience
        return self.epoch >= epochs or ran_out


@dataclass
class Trainer:
    """A model and all that changes it."""

    model: nn.Module
    criterion: nn.Module
    optimizer: torch.optim.Optimizer
    batches: TrainBatches
    evaluator: Evaluator  # on the validation pictures; knows device and precision
    schedule: Schedule
    processes: Processes = ALONE
    average: WeightAverage | None = None  # if there is one, it is what is evaluated
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    progress: Progress = field(default_factory=Progress)
    answers: Tensor = field(default_factory=lambda: torch.zeros(0, 2))  # of the last validation
    samples: SampleLosses = field(init=False)
    uncounted: list[tuple[Ids, Tensor, Tensor]] = field(init=False, default_factory=list)
    parameters: list[nn.Parameter] = field(init=False)  # those that learn

    def __post_init__(self) -> None:
        self.samples = SampleLosses.zeros(len(self.batches.image_set))
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]

    @property
    def averaged(self) -> nn.Module | None:
        """The model with the mean weights, if there is one."""
        return self.average.model if self.average else None

    @property
    def evaluated(self) -> nn.Module:
        """The model that validation looks at, and that is stored as the best one."""
        return self.model if self.averaged is None else self.averaged

    @property
    def step(self) -> int:
        """Steps done in the whole run."""
        return self.progress.epoch * len(self.batches) + self.progress.batch

    def train_step(self, batch: Batch, lr: float | None = None) -> None:
        """Do one step of SGD down the gradient of E, the article's (5.2).

        Args:
            lr: in place of the schedule's.

        Raises:
            NotFinite: the loss or the gradient is; the weights are those before the step.
        """
        self.set_lr(self.schedule.lr_at(self.step) if lr is None else lr)
        generators = generator_states(self.evaluator.device)
        with autocast(self.evaluator.device, self.evaluator.precision):
            logits = self.model(batch.images)  # (B, K)
            loss = self.criterion(logits, batch.target) * self.weight_of(batch)  # E, batch mean
        self.optimizer.zero_grad()
        loss.backward()
        loss = self.add_up(loss.detach())
        self.check_finite(loss, batch, generators)
        self.optimizer.step()
        self.progress.batch += 1
        if self.average:
            self.average.update(self.model, self.step)
        self.keep_answers(batch, logits.detach())

    def set_lr(self, lr: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_share", 1.0)

    def weight_of(self, batch: Batch) -> float:
        """What the mean over this process's part counts in the mean over the whole batch."""
        if self.processes.size == 1:
            return 1.0
        weight = getattr(self.criterion, "weight", None)
        if weight is None or batch.target.ndim == 2:
            return len(batch) / len(batch.sample_ids)
        labels = torch.from_numpy(self.batches.image_set.labels[batch.sample_ids])
        return float(weight[batch.target].sum() / weight[labels.to(weight.device)].sum())

    def add_up(self, loss: Tensor) -> Tensor:
        """Give every process the gradient and the loss of the whole batch: sums of the parts."""
        if self.processes.size == 1:
            return loss
        learned = [p for p in self.parameters if p.grad is not None]
        self.processes.note_step(self.step)
        *totals, loss = self.processes.add_all([*(p.grad for p in learned), loss])  # type: ignore[list-item]
        for parameter, total in zip(learned, totals, strict=True):
            parameter.grad = total
        return loss

    def check_finite(self, loss: Tensor, batch: Batch, generators: dict[str, Tensor]) -> None:
        """Stop before a step that would destroy the weights."""
        norm = torch.nn.utils.get_total_norm(
            [p.grad for p in self.parameters if p.grad is not None]
        )
        if not torch.isfinite(loss + norm):
            raise NotFinite(explain_step(self, batch, loss.item(), norm.item(), generators))

    def keep_answers(self, batch: Batch, logits: Tensor) -> None:
        """Remember the logits of this process's part, to be counted some steps later.

        To count at each step takes 1.3 ms (mixup: 1.7) of a step of 25 ms on a CPU, where after a
        backward nothing small is left in the cache; and a GPU would be waited for.
        """
        part = self.processes.part_of(len(batch.sample_ids))
        own = batch.sample_ids[part.start : part.stop]
        self.uncounted.append((own, logits, batch.target))
        if len(self.uncounted) * logits.numel() >= MAX_UNCOUNTED:
            self.count_answers()

    def count_answers(self) -> None:
        """Bring the totals and the losses of the samples up to the last step."""
        if not self.uncounted:
            return
        ids, logits, targets = zip(*self.uncounted, strict=True)
        self.uncounted.clear()
        own, all_logits = np.concatenate(ids), torch.cat(logits)
        self.progress.train.add(*sum_answers(all_logits, torch.cat(targets)), len(own))
        labels = torch.from_numpy(self.batches.image_set.labels[own]).to(all_logits.device)
        self.samples.add(own, all_logits, labels)

    @property
    def train_totals(self) -> Totals:
        """This process's sums of the epoch under way, up to the last step."""
        self.count_answers()
        return self.progress.train

    def totals_of_all(self) -> Totals:
        """The sums of the epoch under way, of all processes."""
        return Totals(*self.processes.add_numbers(self.train_totals.numbers()))

    def train_epoch(self, after_step: Callable[[], None]) -> None:
        """Do the rest of the epoch under way.

        Raises:
            NotFinite: see `train_step`; and what `after_step` raises.
        """
        train_mode(self.model)
        start = time.perf_counter()
        self.stopwatch("rest")
        p = self.progress
        for batch in self.batches.epoch(p.epoch, p.batch, self.stopwatch):
            self.train_step(batch)
            self.stopwatch("forward+backward")
            now = time.perf_counter()
            p.train_s, start = p.train_s + now - start, now
            after_step()
            self.stopwatch("rest")

    def validate(self) -> Totals:
        """Return the sums over the validation pictures, each counted once by one process."""
        self.stopwatch("rest")
        self.answers = torch.zeros(len(self.evaluator.image_set), 2, dtype=torch.float64)
        totals = self.evaluator(self.evaluated, self.answers)
        totals = Totals(*self.processes.add_numbers(totals.numbers()))
        self.stopwatch("validation")
        return totals

    def rejection(self) -> dict[str, Any]:
        """For a model file: which confidence kept which accuracy in the last validation."""
        answers = self.processes.gather(self.answers).sum(dim=0)  # (N, 2); each row from one
        confidence, right = answers.T.numpy()
        return {"num_images": len(answers), "rejection": rejection_curve(confidence, right > 0)}

    def progress_of_all(self) -> dict[str, Any]:
        """The progress for a checkpoint: with the sums of all processes."""
        return replace(self.progress, train=self.totals_of_all()).to_dict()

    def samples_of_all(self) -> dict[str, Tensor]:
        """The losses of the samples for a checkpoint: the sums of all processes."""
        self.count_answers()
        tensors = self.samples.tensors()
        return {name: self.processes.gather(t).sum(dim=0) for name, t in tensors.items()}

    def finish_epoch(self, val: Totals) -> dict[str, Any]:
        """Count the epoch as done and describe it, as a line of metrics.jsonl.

        Raises:
            NotFinite: E on validation is not finite.
        """
        p, train = self.progress, self.totals_of_all()
        if not math.isfinite(val.E):
            raise NotFinite(explain_validation(self, val.E))
        record = {
            "kind": "epoch",
            "epoch": p.epoch + 1,
            "step": self.step,
            "lr": self.schedule.lr_at(self.step - 1),
            "train": train.means(),
            "val": val.means(),
            "images_per_s": train.count / p.train_s,
        }
        p.epoch, p.batch, p.train, p.train_s = p.epoch + 1, 0, Totals(), 0.0
        return record

    def set_epochs(self, epochs: int) -> None:
        """Stretch the schedule over so many epochs."""
        self.schedule = replace(self.schedule, num_steps=epochs * len(self.batches))


def seconds_per_epoch(trainer: Trainer, clock: Callable[[], float] = time.perf_counter) -> float:
    """Measure a few training steps and one validation on a copy; nothing of the run changes."""
    device = trainer.evaluator.device
    generators = generator_states(device)
    model, optimizer = copy.deepcopy((trainer.model, trainer.optimizer))  # they share parameters
    trial = replace(
        trainer, model=model, optimizer=optimizer, average=None, progress=Progress(),
        stopwatch=Stopwatch(),
    )  # fmt: skip
    train_mode(model)
    times = [clock()]
    for batch in islice(trial.batches.epoch(0), NUM_IGNORED + NUM_TIMED):
        trial.train_step(batch, lr=0.0)
        times.append(clock())
    first = min(NUM_IGNORED, len(times) - 2)
    step_s = (times[-1] - times[first]) / (len(times) - 1 - first)
    start = clock()
    trial.validate()
    validation_s = clock() - start
    set_generators(generators, device)
    return step_s * len(trainer.batches) + validation_s
