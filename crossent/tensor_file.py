"""Tensors and their description in one safetensors file, with checksums over both.

Unlike a pickle, a safetensors file contains no code. Its header contains only strings, so each
value of the description is stored as JSON.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from crossent.errors import UserError
from crossent.files import write_atomic

FORMAT_VERSION = 1


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write the file atomically; add `sha256` (tensors) and `sha256_header` to the header."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"format_version": FORMAT_VERSION, **header, "sha256": hash_tensors(tensors)}
    encoded = {key: json.dumps(value) for key, value in header.items()}
    encoded["sha256_header"] = hash_header(encoded)
    # not `save_file`, which does not report a full disk as an OSError
    write_atomic(path, lambda temporary: temporary.write_bytes(save(tensors, encoded)))


def read_tensors(path: Path, kind: str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors (on the CPU) and the header, and verify the checksums of both.

    Raises:
        UserError: the file is missing, damaged, not written by crossent or not of this kind; or a
            number is infinite or NaN.
    """
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected a model file, or a run after its first epoch"
        )
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            encoded = file.metadata() or {}
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path} is damaged or not a safetensors file ({error})") from None
    if not {"sha256", "sha256_header"} <= encoded.keys():
        raise UserError(f"{path} was not written by crossent: its header has no checksums")
    if encoded["sha256_header"] != hash_header(encoded):
        raise UserError(f"{path} is damaged: its header does not match its checksum")
    header = {key: json.loads(value) for key, value in encoded.items()}
    if header["sha256"] != hash_tensors(tensors):
        raise UserError(f"{path} is damaged: its tensors do not match their checksum")
    if header["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {header['format_version']}; this program reads "
            f"{FORMAT_VERSION}: use the version of crossent that wrote it"
        )
    if kind not in (None, header.get("kind")):
        raise UserError(f"{path} is not a {kind} but a file of kind {header.get('kind')!r}")
    if name := first_not_finite(tensors):
        raise UserError(f"{path} cannot be used: {name} contains numbers that are not finite")
    return tensors, header


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of the name, type, shape and bytes of every tensor, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def hash_header(encoded: dict[str, str]) -> str:
    """Return the SHA-256, as JSON, of all other entries of the encoded header."""
    rest = sorted(item for item in encoded.items() if item[0] != "sha256_header")
    return json.dumps(hashlib.sha256(json.dumps(rest).encode()).hexdigest())


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load tensors; raise UserError if one is missing, unknown or of another shape."""
    state = model.state_dict()
    here, there = ({name: tuple(t.shape) for name, t in ts.items()} for ts in (state, tensors))
    for name in here | there:
        if here.get(name) != there.get(name):
            raise UserError(
                f"{path} belongs to another model: {name} is {there.get(name, 'missing')} in the "
                f"file and {here.get(name, 'missing')} in the model"
            )
    # Start from the model's own state: it has the versions of the layers, which torchvision's
    # MNASNet needs and which a file of tensors lacks.
    state.update(tensors)
    model.load_state_dict(state)


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with an infinite number or a NaN, if there is one."""
    return next((name for name, t in tensors.items() if not torch.isfinite(t).all()), None)
