"""Files of tensors with a description and checksums: trained models and checkpoints.

Unlike a pickle, a safetensors file contains no code. Its header contains only strings, so each
value of the description is stored as JSON.
"""

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from crossent.device import autocast, prepare
from crossent.errors import UserError
from crossent.files import write_atomic
from data.preprocess import Preprocessing

FORMAT_VERSION = 1
MODEL, CHECKPOINT = "model", "checkpoint"  # the kinds of files


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
    if encoded.get("sha256_header") != hash_header(encoded):
        raise UserError(f"{path} is damaged or not from crossent: its header has a wrong checksum")
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


@dataclass(frozen=True)
class Classifier:
    """A trained model with its preprocessing and class names.

    Args:
        header: class_names; model (name and arguments for `build_model`); preprocessing;
            precision; settings; metrics; data_fingerprint; trained_on.
    """

    model: nn.Module
    class_names: list[str]
    preprocessing: Preprocessing
    precision: str
    device: torch.device
    header: dict[str, Any]

    @property
    def trained_on(self) -> bytes | None:
        """Hashes of the training pictures (see `data.duplicates`); None in an older file."""
        text = self.header.get("trained_on")
        return None if text is None else b64decode(text)

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Return z for decoded pictures: (N, S, S, 3) uint8 to (N, K) float32."""
        with autocast(self.device, self.precision):
            logits: Tensor = self.model(self.preprocessing.normalise(images.to(self.device)))
        return logits.float().cpu()


def model_path(path: Path) -> Path:
    """Return the model file of a run folder, or the path itself; refuse a group of runs."""
    group = path / "group.json"
    if group.exists():
        first = next(iter(json.loads(group.read_text(encoding="utf-8"))["runs"]))
        raise UserError(f"{path} is a group of runs; name one, such as {path / first}")
    return path / "model.safetensors" if path.is_dir() else path


def load_model(path: Path, device: torch.device, precision: str = "fp32") -> Classifier:
    """Build a model from the description in its file, and load its weights.

    Args:
        path: a run folder or a model file.
        precision: fp32, as in the exported model, or bf16.

    Raises:
        UserError: the file is missing, damaged or not a crossent model; or it is a group of runs.
    """
    from models import build_model

    path = model_path(path)
    tensors, header = read_tensors(path, MODEL)
    class_names, described = header["class_names"], header["model"]
    try:
        model = build_model(described["name"], len(class_names), **described["arguments"])
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: no model can be built from its description: {error}") from None
    load_weights(model, tensors, path)
    model = prepare(model, device).eval()
    preprocessing = Preprocessing.from_dict(header["preprocessing"])
    return Classifier(model, class_names, preprocessing, precision, device, header)
