"""Computations of each of several processes, to compare with those of one process."""

import json
import math
import os
import socket
from pathlib import Path
from typing import Any

import torch

from crossent.training.batch_norm import use_global_batch_norm
from crossent.training.distributed import Processes, join_processes, leave_at_once
from crossent.training.not_finite import NotFinite
from tests.training.parts import make_run, make_trainer

# mixup and class weights
CASES = {"hard": (0.0, None), "weights": (0.0, [0.5, 1.0, 3.0]), "mixed": (0.3, [0.5, 1.0, 3.0])}
SHAPE = (6, 5, 4, 3)  # of a whole batch, half of it for each of two processes


def environments(size: int) -> list[dict[str, str]]:
    """Return the environments that torchrun gives to `size` processes of one run."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    return [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]


def batch_norm(processes: Processes) -> dict[str, Any]:
    """Return output and derivatives of a layer in bf16 with float32 weights, as under autocast."""
    torch.manual_seed(3)
    x = (3 * torch.randn(SHAPE) + 1).bfloat16().contiguous(memory_format=torch.channels_last)
    slope = torch.randn(SHAPE).bfloat16()
    layer = torch.nn.BatchNorm2d(SHAPE[1])
    torch.nn.init.uniform_(layer.weight)
    rows = slice(processes.part_of(len(x)).start, processes.part_of(len(x)).stop)
    part = x[rows].requires_grad_()
    if processes.size > 1:
        use_global_batch_norm(layer)
    y = layer(part)
    y.backward(slope[rows])
    assert part.grad is not None and layer.weight.grad is not None and layer.bias.grad is not None
    assert layer.running_mean is not None and layer.running_var is not None
    whole = torch.zeros(2, *SHAPE, dtype=torch.float64)
    whole[:, rows] = torch.stack([y.detach(), part.grad]).double()
    weights = torch.stack([layer.weight.grad, layer.bias.grad]).double()
    return {
        "output and gradient": processes.total(whole).tolist(),
        "gradients of the weights": processes.total(weights).tolist(),
        "running statistics": torch.stack([layer.running_mean, layer.running_var]).tolist(),
    }


def first_epoch(case: str, processes: Processes) -> dict[str, Any]:
    """Return the losses of each step, the validation and the weights after one epoch in float64."""
    mixup, weight = CASES[case]
    trainer = make_trainer(
        dropout=0.0,  # each process draws its own
        mixup=mixup,
        weight=None if weight is None else torch.tensor(weight, dtype=torch.float64),
        processes=processes,
    )
    trainer.model.double()
    for module in (trainer.model, trainer.model.head):
        module.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    if processes.size > 1:
        use_global_batch_norm(trainer.model)
    losses = [trainer.train_totals().E for _ in trainer.train_epoch()]
    record = trainer.finish_epoch(trainer.validate())
    state = trainer.model.state_dict()
    return {
        "losses": losses,
        "samples": processes.total(trainer.losses).tolist(),
        "train": list(record["train"].values()),
        "val": list(record["val"].values()),
        **{name: tensor.double().flatten().tolist() for name, tensor in state.items()},
    }


def explained_by_each(processes: Processes) -> int:
    """Return how many processes explain what is not finite in their part of a batch."""
    trainer = make_trainer(processes=processes)
    next(trainer.model.parameters()).data.fill_(math.nan)
    try:
        trainer.train_step(next(trainer.batches.epoch(0)))
    except NotFinite as error:
        start = f"rank {processes.rank}: epoch 1, step 0: the loss is nan"
        is_explained = str(error).startswith(start) and "not finite before the step" in str(error)
        return int(processes.add_numbers([is_explained])[0])
    return 0


def resume_without_a_shared_disk(path: Path, processes: Processes) -> list[float]:
    """Resume a run whose checkpoint only rank 0 can see; return sums over the processes.

    They are: resumed with the same weights, has a checkpoint, the step.
    """
    disk = path / f"disk of rank {processes.rank}"
    run = make_run(disk, processes=processes)
    run.start_or_resume()
    run.one_epoch()
    run.save()
    resumed = make_run(disk, processes=processes)
    resumed.start_or_resume()
    pairs = zip(run.trainer.model.parameters(), resumed.trainer.model.parameters(), strict=True)
    same = all(torch.equal(a, b) for a, b in pairs)
    return processes.add_numbers([same, run.folder.last.exists(), resumed.trainer.step])


def compute_all(environment: dict[str, str], path: Path) -> None:
    """Compute everything in one of the processes; rank 0 writes the results."""
    os.environ |= environment
    torch.set_num_threads(1)
    with join_processes(timeout_s=60) as processes:
        found: dict[str, Any] = {case: first_epoch(case, processes) for case in CASES}
        found["batch norm"] = batch_norm(processes)
        found["explained"] = explained_by_each(processes)
        found["resumed"] = resume_without_a_shared_disk(path.parent, processes)
        if processes.is_first:
            path.write_text(json.dumps(found))
        processes.wait_for_all("finished")  # as in train.py
    leave_at_once(0)
