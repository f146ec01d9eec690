"""last.safetensors: everything that a run needs to go on as if it had never stopped."""

from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch
from torch import Tensor, nn

from crossent.device import set_generators
from crossent.errors import UserError
from crossent.tensor_file import check_finite, load_weights, read_tensors, write_tensors
from crossent.training.distributed import Processes

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
        generators: one row per process.
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
    tensors: dict[str, Tensor],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    samples: dict[str, Tensor],
    average: nn.Module | None = None,
    rank: int = 0,
) -> None:
    """Put a saved state back, all of it.

    Args:
        path: of the file that the tensors came from, to be named in errors.
        samples: the losses of the training pictures, to be filled.
        average: the model to put the mean weights into, if there is one.
        rank: of this process, for the generators that were its own; a new process keeps its own.

    Raises:
        UserError: the tensors belong to another model or to other pictures, or hold a NaN.
    """
    groups = split_by_prefix(tensors)
    load_weights(model, groups.get("model", {}), path)
    if average is not None:
        load_weights(average, groups.get("average", {}), path)
    check_finite(tensors, path)
    parameters = dict(model.named_parameters())
    optimizer.state.clear()
    for full_name, value in groups.get("optimizer", {}).items():
        key, name = full_name.split(".", 1)
        # with the strides of the parameter: channels_last stays so
        optimizer.state[parameters[name]][key] = torch.empty_like(parameters[name]).copy_(value)
    rows = {
        name: states[rank] for name, states in groups["generator"].items() if rank < len(states)
    }
    set_generators(rows, next(iter(parameters.values())).device)
    saved = groups.get("samples", {})
    for name, tensor in samples.items():
        if name not in saved or saved[name].shape != tensor.shape:
            raise UserError(f"{path} belongs to other pictures: it has no samples.{name} for them")
        tensor.copy_(saved[name])


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and header, checked.

    Raises:
        UserError: the file is missing, damaged or no checkpoint.
    """
    tensors, header = read_tensors(path)
    if header.get("kind") != KIND:
        raise UserError(f"{path} is no checkpoint but a file of kind {header.get('kind')!r}")
    return tensors, header


def read_on_all(path: Path, processes: Processes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """`read_checkpoint` of rank 0's file on all processes: another machine may not see its disk."""
    found = read_checkpoint(path) if processes.is_first else None
    content = processes.send(
        path.read_bytes() if processes.is_first and processes.size > 1 else b""
    )
    if found is not None:
        return found
    with NamedTemporaryFile(suffix=path.name) as copy:
        copy.write(content)
        copy.flush()
        return read_checkpoint(Path(copy.name))


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
