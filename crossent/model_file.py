"""model.safetensors: a trained model with everything needed to use it."""

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossent.device import autocast, prepare
from crossent.errors import UserError
from crossent.tensor_file import load_weights, read_tensors, write_tensors
from data.preprocess import Preprocessing

KIND = "model"


def write_model(path: Path, weights: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write a model's `state_dict` with the header of a `Classifier`."""
    write_tensors(path, weights, {"kind": KIND, **header})


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
    tensors, header = read_tensors(path, KIND)
    class_names, described = header["class_names"], header["model"]
    try:
        model = build_model(described["name"], len(class_names), **described["arguments"])
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: no model can be built from its description: {error}") from None
    load_weights(model, tensors, path)
    return Classifier(
        model=prepare(model, device).eval(),
        class_names=class_names,
        preprocessing=Preprocessing.from_dict(header["preprocessing"]),
        precision=precision,
        device=device,
        header=header,
    )
