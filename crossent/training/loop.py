"""The training loop: forward, loss, backward, step; then validation, a line, a checkpoint."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossent.device import autocast
from crossent.evaluation.coverage import rejection_curve
from crossent.evaluation.evaluate import Evaluator, Totals
from crossent.loss import cross_entropy
from crossent.training.checkpoint import own_generators
from crossent.training.distributed import World
from crossent.training.ema import Average
from crossent.training.samples import SampleLosses, in_grains
from crossent.training.timing import Laps
from data.batches import Batch, TrainBatches
from data.sampler import Ids
from models.head import train_mode

MAX_UNCOUNTED = 1 << 18  # logits


@dataclass
class Progress:
    """Where a run stands. With weights, optimizer and generators it is all that a resume needs."""

    epoch: int = 0  # epochs finished
    batch: int = 0  # steps done in the epoch under way
    train: Totals = field(default_factory=Totals)  # of the epoch under way
    train_s: float = 0.0  # time spent in its steps
    elapsed_s: float = 0.0  # of the whole run, up to the last save
    time_s: dict[str, float] = field(default_factory=dict)  # and what it went into
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


class NotFinite(ArithmeticError):
    """A loss or a gradient became infinite or NaN; the weights are still those before the step.

    Args:
        batch: what the step was made of, with the loss and the norm of the gradient it gave; None
            if it was E on validation.
    """

    def __init__(
        self, message: str, batch: Batch | None = None, loss: float = 0.0, norm: float = 0.0
    ) -> None:
        super().__init__(message)
        self.batch, self.loss, self.norm = batch, loss, norm


@dataclass
class Trainer:
    """A model and all that changes it: one method a step, one an epoch."""

    model: nn.Module
    criterion: nn.Module
    optimizer: torch.optim.Optimizer
    batches: TrainBatches
    evaluator: Evaluator  # on the validation pictures; knows device and precision
    lr_at: Callable[..., float]  # the learning rate of a step, counted from 0; takes num_steps
    progress: Progress = field(default_factory=Progress)
    world: World = field(default_factory=World)
    average: Average | None = None  # of the weights; if there is one, it is what is evaluated
    answers: Tensor = field(default_factory=lambda: torch.zeros(0, 2))  # of the last validation
    laps: Laps = field(default_factory=Laps)
    generators: dict[str, Tensor] = field(default_factory=own_generators)  # before the last step
    samples: SampleLosses = field(init=False)
    uncounted: list[tuple[Ids, Tensor, Tensor]] = field(init=False, default_factory=list)
    parameters: list[nn.Parameter] = field(init=False)  # those that learn

    def __post_init__(self) -> None:
        self.samples = SampleLosses.zeros(len(self.batches.image_set))
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]

    @property
    def evaluated(self) -> nn.Module:
        """The model that validation looks at, and that is stored as the best one."""
        return self.average.model if self.average else self.model

    @property
    def step(self) -> int:
        """Steps done in the whole run."""
        return self.progress.epoch * len(self.batches) + self.progress.batch

    def train_step(self, batch: Batch) -> None:
        """One step of SGD down the gradient of E, the article's (5.2)."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr_at(self.step) * group.get("lr_share", 1.0)
        with autocast(self.evaluator.device, self.evaluator.precision):
            logits = self.model(batch.images)  # (B, K)
            loss = self.criterion(logits, batch.target) * self.share(batch)  # E, batch mean
        self.optimizer.zero_grad()
        loss.backward()
        loss = self.add_up(loss)
        self.check_finite(loss, batch)
        self.optimizer.step()
        self.progress.batch += 1
        if self.average:
            self.average.update(self.model, self.step)
        self.keep_answers(batch, logits.detach())

    def keep_answers(self, batch: Batch, logits: Tensor) -> None:
        """Remember what the model answered for this process's part, to be counted some time later.

        After a backward nothing small is left in the cache: counting at each step would cost 2 % of
        the time, and a GPU would have to be waited for.
        """
        part = self.world.share(len(batch.sample_ids))
        own = batch.sample_ids[part.start : part.stop]
        self.uncounted.append((own, logits, batch.target))
        if len(self.uncounted) * logits.numel() >= MAX_UNCOUNTED:
            self.count_answers()

    @property
    def train_totals(self) -> Totals:
        """The sums of the epoch under way, up to the last step."""
        self.count_answers()
        return self.progress.train

    def count_answers(self) -> None:
        """Bring the totals and the losses of the samples up to the last step."""
        if not self.uncounted:
            return
        ids, logits, targets = zip(*self.uncounted, strict=True)
        self.uncounted.clear()
        own, all_logits = np.concatenate(ids), torch.cat(logits)
        self.progress.train.add(*sums(all_logits, torch.cat(targets)), len(own))
        labels = torch.from_numpy(self.batches.image_set.labels[own]).to(all_logits.device)
        self.samples.add(own, all_logits, labels)

    def share(self, batch: Batch) -> float:
        """What the mean over this process's part counts in the mean over the whole batch."""
        if self.world.size == 1:
            return 1.0
        weight = getattr(self.criterion, "weight", None)
        if weight is None or batch.target.ndim == 2:
            return len(batch) / len(batch.sample_ids)
        labels = torch.from_numpy(self.batches.image_set.labels[batch.sample_ids])
        return float(weight[batch.target].sum() / weight[labels.to(weight.device)].sum())

    def add_up(self, loss: Tensor) -> Tensor:
        """Give every process the gradient and the loss of the whole batch: sums of the parts."""
        if self.world.size == 1:
            return loss
        gradients = {p: p.grad for p in self.parameters if p.grad is not None}
        self.world.note_step(self.step)
        *totals, loss = self.world.add_all([*gradients.values(), loss.detach()])
        for parameter, total in zip(gradients, totals, strict=True):
            parameter.grad = total
        return loss

    def check_finite(self, loss: Tensor, batch: Batch) -> None:
        """Stop before a step that would destroy the weights."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not torch.isfinite(loss + norm):
            p, ids = self.progress, batch.sample_ids.tolist()
            raise NotFinite(
                f"epoch {p.epoch + 1}, step {self.step}: the loss is {loss.item():g} and the norm "
                f"of the gradient {norm.item():g}; sample ids {ids}. "
                "A smaller optim.lr or a longer schedule.warmup often helps.",
                batch,
                loss.item(),
                norm.item(),
            )

    def train_epoch(self, after_step: Callable[[], None]) -> None:
        """The rest of the epoch under way.

        Raises:
            NotFinite: see `check_finite`; and what `after_step` raises.
        """
        train_mode(self.model)
        clock = time.perf_counter()
        self.laps("rest")
        for batch in self.batches.epoch(self.progress.epoch, self.progress.batch, self.laps):
            self.generators = own_generators()  # a few kB, to do the step again after a crash
            self.train_step(batch)
            self.laps("forward+backward")
            now = time.perf_counter()
            self.progress.train_s += now - clock
            clock = now
            after_step()
            self.laps("rest")

    def validate(self) -> Totals:
        """E and accuracy on the validation pictures, each counted once by one process."""
        self.laps("rest")
        self.answers = torch.zeros(len(self.evaluator.image_set), 2, dtype=torch.float64)
        totals = self.evaluator(self.evaluated, self.answers)
        totals = Totals(*self.world.add_numbers(totals.numbers()))
        self.laps("validation")
        return totals

    def rejection(self) -> dict[str, Any]:
        """For a model file: which confidence kept which accuracy in the last validation."""
        answers = self.world.gather(self.answers).sum(dim=0)  # (N, 2); each row from one process
        confidence, right = answers.T.numpy()
        return {"num_images": len(answers), "rejection": rejection_curve(confidence, right > 0)}

    def progress_of_all(self) -> dict[str, Any]:
        """The progress for a checkpoint: with the sums of all processes."""
        totals = Totals(*self.world.add_numbers(self.train_totals.numbers()))
        return replace(self.progress, train=totals).to_dict()

    def samples_of_all(self) -> dict[str, Tensor]:
        """The losses of the samples for a checkpoint: the sums of all processes."""
        self.count_answers()
        tensors = self.samples.tensors()
        return {name: self.world.gather(tensor).sum(dim=0) for name, tensor in tensors.items()}

    def finish_epoch(self, val: Totals) -> dict[str, Any]:
        """Count the epoch as done and describe it, as a line of metrics.jsonl.

        Raises:
            NotFinite: E on validation is not finite.
        """
        p = self.progress
        train = Totals(*self.world.add_numbers(self.train_totals.numbers()))
        if not math.isfinite(val.E):
            raise NotFinite(f"epoch {p.epoch + 1}, step {self.step}: E on validation is {val.E:g}")
        record = {
            "kind": "epoch",
            "epoch": p.epoch + 1,
            "step": self.step,
            "lr": self.lr_at(self.step - 1),
            "train": train.means(),
            "val": val.means(),
            "images_per_s": train.count / p.train_s,
        }
        p.epoch, p.batch, p.train, p.train_s = p.epoch + 1, 0, Totals(), 0.0
        return record


def sums(logits: Tensor, target: Tensor) -> tuple[float, float]:
    """E and the number of right answers, summed over a batch, without smoothing or weights.

    So the train and the val columns of the log count the same thing. With mixup the target is
    soft: an answer is right by the share t_k that its class has in the mixture.
    """
    soft = target.ndim == 2
    E = cross_entropy(logits.double(), target.double() if soft else target, reduction="none")
    predicted = logits.argmax(dim=1, keepdim=True)
    if soft:
        right = target.double().gather(1, predicted)
    else:
        right = (predicted.squeeze(1) == target).double()
    return in_grains(E).sum().item(), in_grains(right).sum().item()
