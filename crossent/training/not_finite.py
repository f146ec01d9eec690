"""Explain a loss that is infinite or NaN: find the first such number, and say what to try."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from crossent.device import autocast, set_generators
from crossent.loss import cross_entropy
from crossent.tensor_file import first_not_finite
from data.batches import Batch
from data.images import printable

if TYPE_CHECKING:
    from crossent.training.trainer import Trainer

MAX_NAMES = 5  # pictures


class NotFinite(ArithmeticError):
    """An infinite number or a NaN in training; the message says where, why and what to try."""


def explain_step(
    trainer: "Trainer", batch: Batch, generators: dict[str, Tensor], loss: Tensor, norm: Tensor
) -> str:
    """Explain in one line why a step failed; each process examines its part of the batch.

    Args:
        generators: states of the random generators before the step, for the same dropout.
    """
    set_generators(generators, trainer.evaluator.device)
    what = f"the loss is {loss:g} and the norm of the gradient {norm:g}"
    return explain(trainer, f"{what}. {find_cause(trainer, batch)}")


def explain_validation(trainer: "Trainer", E: float) -> str:
    """Explain in one line why E on validation is not finite."""
    weight = first_not_finite(trainer.evaluated.state_dict())
    cause = "all weights are finite" if weight is None else f"{weight} is not finite"
    return explain(trainer, f"E on validation is {E:g}; {cause}")


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
    """Run the batch again; name the first weight, picture, layer or gradient that is not finite."""
    gradients = {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}
    layer, losses = run_again(trainer, batch)  # always: the other processes wait for this one in it
    if weight := first_not_finite(dict(trainer.model.named_parameters())):
        return f"The weight {weight} was not finite before the step"
    if names := names_of_not_finite(trainer, batch, batch.images.flatten(1)):
        return f"The pixels of {names} are not finite: look there first"
    where = f"The output of {layer} is the first that is not finite" if layer else ""
    if names := names_of_not_finite(trainer, batch, losses[:, None]):
        where = where or "All layers are finite"
        return f"{where}; the loss is not finite for {names}"
    if gradient := first_not_finite(dict(reversed(gradients.items()))):
        return f"In the backward pass the gradient of {gradient} is the first that is not finite"
    return where or "All numbers of this part of the batch are finite, but their sum is not"


def run_again(trainer: "Trainer", batch: Batch) -> tuple[str | None, Tensor]:
    """Return the first layer whose output is not finite, and the loss of each picture (B,)."""
    # The output of a Sequential is that of its last layer.
    names = {m: n for n, m in trainer.model.named_modules() if not isinstance(m, nn.Sequential)}
    bad: list[str] = []

    def look(module: nn.Module, _: object, output: object) -> None:
        name = names.get(module)
        if name and isinstance(output, Tensor) and not torch.isfinite(output).all():
            bad.append(name)

    device, precision = trainer.evaluator.device, trainer.evaluator.precision
    with register_module_forward_hook(look), torch.no_grad(), autocast(device, precision):
        logits = trainer.model(batch.images)
    losses = cross_entropy(logits.float(), batch.target, reduction="none")
    return next(iter(bad), None), losses


def names_of_not_finite(trainer: "Trainer", batch: Batch, numbers: Tensor) -> str:
    """Return the names of the pictures whose numbers (B, any) are not all finite."""
    bad = ~torch.isfinite(numbers).all(dim=1)
    if bad.all():
        return f"all {len(bad)} pictures of the batch"
    ids = trainer.own_ids(batch)[bad.cpu().numpy()]
    names = [printable(trainer.batches.image_set.names[i]) for i in ids[:MAX_NAMES]]
    return ", ".join(names) + (" and more" if len(ids) > MAX_NAMES else "")
