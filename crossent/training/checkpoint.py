"""last.safetensors: everything that a run needs to continue as if it had not stopped."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossent.device import generator_states, set_generators
from crossent.errors import UserError
from crossent.model_file import CHECKPOINT, load_weights, read_tensors, write_tensors
from crossent.training.trainer import Trainer


def save_checkpoint(path: Path, trainer: Trainer, header: dict[str, Any]) -> None:
    """Write a trainer's state; all processes must call this, rank 0 writes the file."""
    model, processes = trainer.model, trainer.processes
    states = generator_states(trainer.evaluator.device)
    generators = {name: processes.gather(state) for name, state in states.items()}
    losses = processes.total(trainer.losses)
    if not processes.is_first:
        return
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if trainer.average:
        average = trainer.average.model.state_dict()
        tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for name, parameter in model.named_parameters():
        for key, value in trainer.optimizer.state[parameter].items():
            if value is not None:  # no momentum before the first step
                tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
    tensors |= {f"generator.{name}": state for name, state in generators.items()}
    tensors |= {"samples.total": losses[0], "samples.count": losses[1]}
    write_tensors(path, tensors, {"kind": CHECKPOINT, **header})


def load_checkpoint(path: Path, trainer: Trainer, description: dict[str, Any]) -> dict[str, Any]:
    """Restore a trainer's state and return the header.

    Each process restores the random generators of its rank; a new rank keeps its own.

    Raises:
        UserError: the file is damaged, of another model or other pictures, or contains a NaN.
    """
    # Rank 0 sends the content, because another machine may not see its disk.
    found = read_tensors(path, CHECKPOINT) if trainer.processes.is_first else None
    tensors, header = trainer.processes.broadcast(found)
    for key, what in (("class_names", "classes"), ("data_fingerprint", "pictures")):
        was, now = header[key], description[key]
        if was != now:
            raise UserError(
                f"{path} was trained on other {what} ({was[:12]}, now {now[:12]}): "
                "set data.root to the old pictures, or start a new run with --out"
            )
    groups: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for full_name, tensor in tensors.items():
        group, name = full_name.split(".", 1)
        groups[group][name] = tensor
    load_weights(trainer.model, groups["model"], path)
    if trainer.average:
        load_weights(trainer.average.model, groups["average"], path)
    parameters = dict(trainer.model.named_parameters())
    trainer.optimizer.state.clear()
    for full_name, value in groups["optimizer"].items():
        key, name = full_name.split(".", 1)
        # with the strides of the parameter, which may be channels_last
        state = torch.empty_like(parameters[name]).copy_(value)
        trainer.optimizer.state[parameters[name]][key] = state
    rank = trainer.processes.rank
    own = {name: rows[rank] for name, rows in groups["generator"].items() if rank < len(rows)}
    set_generators(own, trainer.evaluator.device)
    trainer.losses = torch.stack([groups["samples"][name] for name in ("total", "count")])
    return header  # type: ignore[no-any-return]
