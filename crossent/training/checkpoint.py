"""last.safetensors: everything that a run needs to go on as if it had never stopped."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossent.errors import UserError
from crossent.tensor_file import read_tensors, write_tensors
from crossent.training.distributed import ALONE, World
from crossent.training.samples import SampleLosses
from crossent.weights import check_finite, load_weights

KIND = "checkpoint"


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    generators: dict[str, Tensor],
    header: dict[str, Any],
    samples: dict[str, Tensor] | None = None,
    average: nn.Module | None = None,
) -> None:
    """Write weights, optimizer state and generator states, with `header` to describe them.

    Args:
        samples: the losses of the training pictures so far, for the report.
        average: the model with the mean weights, if there is one.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            if value is not None:  # no momentum before the first step
                tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
    tensors |= {f"generator.{name}": state for name, state in generators.items()}
    tensors |= {f"samples.{name}": tensor for name, tensor in (samples or {}).items()}
    write_tensors(path, tensors, {"kind": KIND, **header})


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rank: int = 0,
    samples: SampleLosses | None = None,
    must_be_finite: bool = True,
    average: nn.Module | None = None,
) -> dict[str, Any]:
    """Put a saved state back, all of it, and return the header.

    Args:
        rank: of this process, for the generator that was its own.
        samples: filled with the losses of the training pictures.
        must_be_finite: refuse a NaN, from which nothing can be learned any more.
        average: the model to put the mean weights into, if there is one.

    Raises:
        UserError: the file is damaged, belongs to another model, or holds a NaN.
    """
    tensors, header = read_checkpoint(path)
    groups = split_by_prefix(tensors)
    load_weights(model, groups.get("model", {}), path)
    if average is not None:
        load_weights(average, groups.get("average", {}), path)
    if must_be_finite:
        check_finite(tensors, path)
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for full_name, value in groups.get("optimizer", {}).items():
        key, name = full_name.split(".", 1)
        parameter = parameters[name]
        optimizer.state[parameter][key] = value.to(parameter.device).view_as(parameter)
    restore_generators(groups["generator"], rank)
    if samples is not None:
        restore_samples(groups.get("samples", {}), samples, path)
    return header


def restore_samples(saved: dict[str, Tensor], samples: SampleLosses, path: Path) -> None:
    """Put the losses of the training pictures back, in place.

    Raises:
        UserError: the checkpoint has none, or those of another number of pictures.
    """
    for name, tensor in samples.tensors().items():
        if name not in saved or saved[name].shape != tensor.shape:
            raise UserError(f"{path} belongs to other pictures: it has no samples.{name} for them")
        tensor.copy_(saved[name])


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header, checked.

    Raises:
        UserError: the file is missing, damaged or no checkpoint.
    """
    tensors, header = read_tensors(path)
    if header.get("kind") != KIND:
        raise UserError(f"{path} is no checkpoint but a file of kind {header.get('kind')!r}")
    return tensors, header


def check_same_data(path: Path, header: dict[str, Any], description: dict[str, Any]) -> None:
    """Raise UserError if a checkpoint was trained on other classes or other pictures."""
    what_to_do = "give the run its own pictures, or start a new one with --out"
    old, new = header["class_names"], description["class_names"]
    if old != new:
        raise UserError(
            f"{path} was trained on the classes {', '.join(old)}; the pictures have "
            f"{', '.join(new)}: {what_to_do}"
        )
    old, new = header["data_fingerprint"], description["data_fingerprint"]
    if old != new:
        raise UserError(
            f"{path} was trained on other pictures (fingerprint {old[:12]}, now {new[:12]}): "
            f"{what_to_do}"
        )


def split_by_prefix(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """{"model.a": x, "optimizer.b": y} becomes {"model": {"a": x}, "optimizer": {"b": y}}."""
    groups: dict[str, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        prefix, name = full_name.split(".", 1)
        groups.setdefault(prefix, {})[name] = tensor
    return groups


def generator_states(world: World) -> dict[str, Tensor]:
    """The states of torch's generators, which dropout draws from: a row a process."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return {name: world.gather(state) for name, state in states.items()}


def restore_generators(states: dict[str, Tensor], rank: int) -> None:
    """The inverse of `generator_states`; a process that was not there before keeps its own."""
    for name, rows in states.items():
        if rank < len(rows):
            set_state = torch.set_rng_state if name == "cpu" else torch.cuda.set_rng_state
            set_state(rows[rank].clone())  # torch misreads a row that does not begin its storage


def own_generators() -> dict[str, Tensor]:
    """`generator_states` of this process alone."""
    return generator_states(ALONE)
