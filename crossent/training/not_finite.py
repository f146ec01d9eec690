"""Explain a loss that is infinite or NaN: find the first such number, and say what to try."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from crossent.device import autocast
from crossent.loss import cross_entropy
from crossent.model_file import first_not_finite
from data.advice import some
from data.batches import Batch
from data.images import printable

if TYPE_CHECKING:
    from crossent.training.trainer import Trainer


class NotFinite(ArithmeticError):
    """An infinite number or a NaN in training; the message says where, why and what to try."""


def explain(trainer: "Trainer", what: str) -> str:
    """Return `what` with the epoch and step where it happened, and the settings to try."""
    rank = f"rank {trainer.processes.rank}: " if trainer.processes.size > 1 else ""
    schedule, lr = trainer.schedule, trainer.optimizer.param_groups[0]["lr"]
    tries = ["train.precision=fp32"] if trainer.evaluator.precision == "bf16" else []
    tries += ["schedule.warmup=0.1"] if schedule.warmup < 0.1 else []
    tries += [f"optim.lr below {schedule.peak_lr:g} (at this step the rate was {lr:.3g})"]
    return (
        f"{rank}epoch {trainer.progress.epoch + 1}, step {trainer.step}: {what}. "
        f"The best model and the last checkpoint are kept. Try {' or '.join(tries)}"
    )


def find_cause(trainer: "Trainer", batch: Batch) -> str:
    """Name the first weight, layer, picture or gradient of a failed step that is not finite.

    The batch is run again; each process examines its own part of it.
    """
    gradients = {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}
    layer, losses = run_again(trainer, batch)  # always: the other processes wait for this one in it
    if weight := first_not_finite(dict(trainer.model.named_parameters())):
        return f"The weight {weight} was not finite before the step"
    where = f"The output of {layer} is the first that is not finite" if layer else ""
    # Pixels first: batch normalisation spreads one bad picture over its whole batch.
    for numbers, what in ((batch.images, "pixels are"), (losses, "loss is")):
        bad = ~torch.isfinite(numbers).reshape(len(numbers), -1).all(dim=1)
        names = [printable(trainer.batches.image_set.names[i]) for i in batch.sample_ids[bad.cpu()]]
        if names:
            shown = some(names) if len(names) < len(bad) else f"all {len(bad)} pictures"
            return f"{where or 'All layers are finite'}; the {what} not finite for {shown}"
    if gradient := first_not_finite(dict(reversed(gradients.items()))):
        return f"In the backward pass the gradient of {gradient} is the first that is not finite"
    return where or "All numbers of this part of the batch are finite, but their sum is not"


def run_again(trainer: "Trainer", batch: Batch) -> tuple[str | None, Tensor]:
    """Return the first layer whose output is not finite, and the loss of each picture (B,)."""
    # The output of a Sequential is that of its last layer.
    names = {m: n for n, m in trainer.model.named_modules() if not isinstance(m, nn.Sequential)}
    bad: list[str] = []

    def look(module: nn.Module, _: object, output: object) -> None:
        if module in names and isinstance(output, Tensor) and not torch.isfinite(output).all():
            bad.append(names[module])

    device, precision = trainer.evaluator.device, trainer.evaluator.precision
    with register_module_forward_hook(look), torch.no_grad(), autocast(device, precision):
        logits = trainer.model(batch.images)
    losses = cross_entropy(logits.float(), batch.target, reduction="none")
    return next(iter(bad), None), losses
