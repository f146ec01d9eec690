"""Tensors and what describes them in one safetensors file, with checksums over both.

safetensors holds no code and is never executed when read, unlike a pickle. Its header takes
strings only, so every value of the description is stored as JSON.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from crossent.errors import UserError
from crossent.files import write_atomic

FORMAT_VERSION = 1
CHECKSUMS = {"sha256", "sha256_header"}


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write both atomically. The header gains `sha256` (tensors) and `sha256_header` (the rest)."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"format_version": FORMAT_VERSION, **header, "sha256": hash_tensors(tensors)}
    encoded = {key: json.dumps(value) for key, value in header.items()}
    encoded["sha256_header"] = json.dumps(hash_header(encoded))
    write_atomic(path, lambda temporary: save(tensors, temporary, encoded))


def save(tensors: dict[str, Tensor], path: Path, encoded: dict[str, str]) -> None:
    """safetensors' own `save_file`, with a full disk told as Python tells it: an OSError."""
    try:
        save_file(tensors, path, encoded)
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors (on the CPU) and header, and check every byte of both.

    Raises:
        UserError: the file is missing, no safetensors file of ours, or damaged; by name and reason.
    """
    tensors, encoded = read_unchecked(path)
    if not CHECKSUMS <= encoded.keys():
        raise UserError(f"{path} was not written by crossent: its header has no checksums")
    try:
        header = {key: json.loads(value) for key, value in encoded.items()}
    except (ValueError, RecursionError):
        header = {"sha256_header": "none"}
    if header["sha256_header"] != hash_header(encoded):
        raise UserError(f"{path} is damaged: its header does not match its checksum")
    if header["sha256"] != hash_tensors(tensors):
        raise UserError(f"{path} is damaged: its tensors do not match their checksum")
    if header["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {header['format_version']}; this program reads "
            f"{FORMAT_VERSION}: use the version of crossent that wrote it"
        )
    return tensors, header


def read_unchecked(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the encoded header of any safetensors file."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path} is damaged or no safetensors file ({error})") from None


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over name, type, shape and bytes of every tensor, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def hash_header(encoded: dict[str, str]) -> str:
    """SHA-256 over all other entries of the header, as they are written."""
    rest = sorted(item for item in encoded.items() if item[0] != "sha256_header")
    return hashlib.sha256(json.dumps(rest).encode()).hexdigest()


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put the tensors of a file into the model.

    Raises:
        UserError: one is missing, unknown or of another shape; it is named.
    """
    state = model.state_dict()
    for name, tensor in state.items():
        if name not in tensors:
            raise UserError(f"{path} belongs to another model: it lacks {name}")
        there, here = tuple(tensors[name].shape), tuple(tensor.shape)
        if there != here:
            raise UserError(
                f"{path} belongs to another model: {name} is {there} there and {here} here"
            )
    strange = next((name for name in tensors if name not in state), None)
    if strange:
        raise UserError(f"{path} belongs to another model: it has {strange}")
    # by way of the model's own state, which notes the versions of its layers: plain tensors have
    # no such notes, and torchvision's MNASNet asks for them
    state.update(tensors)
    model.load_state_dict(state)


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise UserError if a number is infinite or NaN: nothing learned from there would be right."""
    name = first_not_finite(tensors)
    if name:
        raise UserError(f"{path} cannot be used: {name} holds numbers that are not finite")


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with an infinite number or a NaN."""
    return next((name for name, t in tensors.items() if not torch.isfinite(t).all()), None)
