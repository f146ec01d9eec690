"""What one process of a test under torchrun does: torchrun ... -m tests.training.ranks OUT.json"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from crossent.training.batch_norm import use_global_batch_norm
from crossent.training.distributed import Processes, join_processes, leave_at_once
from tests.training.parts import make_run, make_trainer

CASES: dict[str, dict[str, Any]] = {
    "hard": {"mixup": 0.0},
    "mixup": {"mixup": 0.3},
    "weights": {"mixup": 0.0, "weight": [0.5, 1.0, 3.0]},
}


SHAPE = (6, 5, 4, 3)  # of a whole batch, half of it for each of two processes


def batch_norm(dtype: torch.dtype, processes: Processes) -> dict[str, Any]:
    """What a layer gives for this process's part of a batch, and its derivatives, from all.

    The weights are float32 at least, as under autocast.
    """
    torch.manual_seed(3)
    x = (3 * torch.randn(SHAPE) + 1).to(dtype).contiguous(memory_format=torch.channels_last)
    slope = torch.randn(SHAPE).to(dtype)
    layer = torch.nn.BatchNorm2d(SHAPE[1]).to(torch.promote_types(dtype, torch.float32))
    torch.nn.init.uniform_(layer.weight)
    rows = processes.part_of(len(x))
    part = x[rows.start : rows.stop].requires_grad_()
    if processes.size > 1:
        use_global_batch_norm(layer, processes)
    y = layer(part)
    y.backward(slope[rows.start : rows.stop])
    assert part.grad is not None and layer.weight.grad is not None and layer.bias.grad is not None
    whole = torch.zeros(2, *SHAPE, dtype=torch.float64)
    whole[:, rows.start : rows.stop] = torch.stack([y.detach(), part.grad]).double()
    weights = torch.stack([layer.weight.grad, layer.bias.grad]).double()
    assert layer.running_mean is not None and layer.running_var is not None
    running = torch.stack([layer.running_mean, layer.running_var])
    return {
        "output and gradient": processes.add(whole).tolist(),
        "gradients of the weights": processes.add(weights).tolist(),
        "running statistics": running.tolist(),
    }


def first_epoch(case: str, dtype: torch.dtype, processes: Processes) -> dict[str, Any]:
    """The losses of every step, validation and weights after an epoch, from all processes."""
    arguments = CASES[case].copy()
    weight = arguments.pop("weight", None)
    trainer = make_trainer(
        dropout=0.0,  # each process draws its own
        weight=None if weight is None else torch.tensor(weight, dtype=dtype),
        processes=processes,
        **arguments,
    )
    trainer.model.to(dtype)
    trainer.model.head.register_forward_pre_hook(lambda _, inputs: (inputs[0].to(dtype),))
    trainer.model.register_forward_pre_hook(lambda _, inputs: (inputs[0].to(dtype),))
    if processes.size > 1:
        use_global_batch_norm(trainer.model, processes)
    losses: list[float] = []
    trainer.train_epoch(lambda: losses.append(sum_of_E(trainer)))
    counts = processes.add_numbers([trainer.train_totals.count])
    samples = {name: tensor.tolist() for name, tensor in trainer.samples_of_all().items()}
    record = trainer.finish_epoch(trainer.validate())
    return {
        "losses": losses,
        "count": counts[0],
        "samples": samples,
        "train": record["train"],
        "val": record["val"],
        "weights": {
            n: t.double().flatten().tolist() for n, t in trainer.model.state_dict().items()
        },
    }


def sum_of_E(trainer: Any) -> float:
    (E,) = trainer.processes.add_numbers([trainer.train_totals.E])
    return float(E)


def resume_without_a_shared_disk(path: Path, processes: Processes) -> dict[str, Any]:
    """Resume a run whose checkpoint rank 0 alone can see; of each process, what it has then."""
    disk = path / f"disk of rank {processes.rank}"
    run = make_run(disk, processes=processes)
    run.start_or_resume()
    run.one_epoch()
    run.save()
    resumed = make_run(disk, processes=processes)
    resumed.start_or_resume()
    pairs = zip(run.trainer.model.parameters(), resumed.trainer.model.parameters(), strict=True)
    own = [float(all(torch.equal(a, b) for a, b in pairs)), float(run.folder.last.exists())]
    same, files = processes.add_numbers(own)
    (steps,) = processes.add_numbers([resumed.trainer.step])
    return {"same": same, "files": files, "steps": steps}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with join_processes(timeout_s=60) as processes:
        found = {
            f"{case} {dtype}": first_epoch(case, dtype, processes)
            for case in CASES
            for dtype in (torch.float64, torch.float32)
        }
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            found[f"batch norm {dtype}"] = batch_norm(dtype, processes)
        found["resumed"] = resume_without_a_shared_disk(Path(sys.argv[1]).parent, processes)
        if processes.is_first:
            Path(sys.argv[1]).write_text(json.dumps(found))
        processes.wait()  # all leave together, as in train.py
    leave_at_once(0)
