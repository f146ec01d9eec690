"""last.safetensors: everything that a run needs to go on as if it had never stopped."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossent.errors import UserError
from crossent.tensor_file import read_tensors, write_tensors

KIND = "checkpoint"


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, header: dict[str, Any]
) -> None:
    """Write weights, optimizer state and generator state, with `header` to describe them."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            if value is not None:  # no momentum before the first step
                tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
    write_tensors(path, tensors | generator_states(), {"kind": KIND, **header})


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Put a saved state back, all of it, and return the header.

    Raises:
        UserError: the file is damaged, or belongs to another model.
    """
    tensors, header = read_tensors(path)
    if header.get("kind") != KIND:
        raise UserError(f"{path} is no checkpoint but a file of kind {header.get('kind')!r}")
    groups = split_by_prefix(tensors)
    try:
        model.load_state_dict(groups["model"])
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{path} belongs to another model: {error}") from None
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for full_name, value in groups.get("optimizer", {}).items():
        key, name = full_name.split(".", 1)
        parameter = parameters[name]
        optimizer.state[parameter][key] = value.to(parameter.device).view_as(parameter)
    restore_generators(groups["generator"])
    return header


def split_by_prefix(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """{"model.a": x, "optimizer.b": y} becomes {"model": {"a": x}, "optimizer": {"b": y}}."""
    groups: dict[str, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        prefix, name = full_name.split(".", 1)
        groups.setdefault(prefix, {})[name] = tensor
    return groups


def generator_states() -> dict[str, Tensor]:
    """The states of torch's generators, which dropout draws from."""
    states = {"generator.cpu": torch.get_rng_state()}
    for index in range(torch.cuda.device_count()):
        states[f"generator.cuda{index}"] = torch.cuda.get_rng_state(index)
    return states


def restore_generators(states: dict[str, Tensor]) -> None:
    """The inverse of `generator_states`."""
    for name, state in states.items():
        if name == "cpu":
            torch.set_rng_state(state)
        else:
            torch.cuda.set_rng_state(state, int(name.removeprefix("cuda")))
