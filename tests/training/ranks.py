"""A computation of each of several processes, to compare with that of one process."""

import json
import os
import socket

import torch

from crossent.training.batch_norm import use_global_batch_norm
from crossent.training.distributed import join_processes, leave_at_once
from tests.training.parts import make_trainer

# mixup and class weights
CASES = {"hard": (0.0, None), "weights": (0.0, [0.5, 1.0, 3.0]), "mixed": (0.3, [0.5, 1.0, 3.0])}


def environments(size):
    """Return the environments that torchrun gives to `size` processes of one run."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    return [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]


def first_epoch(case, processes):
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


def compute_all(environment, path):
    """Compute the cases in one of the processes; rank 0 writes the results."""
    os.environ |= environment
    torch.set_num_threads(1)
    with join_processes(timeout_s=60) as processes:
        found = {case: first_epoch(case, processes) for case in CASES}
        if processes.is_first:
            path.write_text(json.dumps(found))
        processes.wait_for_all("finished")  # as in train.py
    leave_at_once(0)
