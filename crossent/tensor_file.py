"""Tensors and what describes them in one safetensors file, with checksums over both.

safetensors holds no code and is never executed when read, unlike a pickle. Its header takes
strings only, so every value of the description is stored as JSON.
"""

import errno
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

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
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            encoded = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = {key: json.loads(value) for key, value in encoded.items()}
    except (SafetensorError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged or no safetensors file ({error})") from None
    if not CHECKSUMS <= header.keys():
        raise UserError(f"{path} was not written by crossent: its header has no checksums")
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
