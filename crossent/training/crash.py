"""RUN/crash: the step whose loss or gradient was not finite, with all it takes to do it again.

state.safetensors   weights, optimizer and generators before the step, as in last.safetensors
batch.safetensors   pictures, target and class weights; none if E on validation was not finite
crash.json          the message and the numbers, for a person
config.yaml         the settings
"""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossent.errors import UserError
from crossent.files import write_text
from crossent.tensor_file import read_tensors, write_tensors
from crossent.training.checkpoint import save_checkpoint
from crossent.training.loop import NotFinite, Trainer
from crossent.training.run_folder import RunFolder

KIND = "batch"


@dataclass(frozen=True)
class Crash:
    """Paths of a crash folder."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def state(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def batch(self) -> Path:
        return self.path / "batch.safetensors"

    @property
    def facts(self) -> Path:
        return self.path / "crash.json"


@dataclass(frozen=True)
class CrashedBatch:
    """What the model was shown, and what came of it.

    Shape: sample_ids (B,); images (B, 3, S, S); target (B,) or (B, K); class_weights (K,).
    """

    sample_ids: list[int]
    images: Tensor
    target: Tensor
    class_weights: Tensor | None
    loss: float
    norm: float  # of the gradient


def keep_crash(
    folder: RunFolder, trainer: Trainer, header: dict[str, Any], error: NotFinite
) -> NotFinite:
    """Write RUN/crash, and return the error with the command that does the step again."""
    try:
        write_crash(Crash(folder.crash), folder.config, trainer, header, error)
    except OSError as why:  # the number that is not finite is still the news
        return NotFinite(f"{error} ({folder.crash} cannot be written: {why.strerror})")
    again = f"python train.py --replay {folder.crash}"
    return NotFinite(f"{error} The step is kept in {folder.crash}; look into it with: {again}")


def write_crash(
    crash: Crash, config: Path, trainer: Trainer, header: dict[str, Any], error: NotFinite
) -> None:
    shutil.rmtree(crash.path, ignore_errors=True)  # of an earlier try
    crash.path.mkdir()
    evaluator = trainer.evaluator
    header = {**header, "device": str(evaluator.device), "precision": evaluator.precision}
    save_checkpoint(crash.state, trainer.model, trainer.optimizer, trainer.generators, header)
    if error.batch is not None:
        write_batch(crash.batch, trainer, error)
    write_text(crash.facts, json.dumps(facts(trainer, error), indent=2) + "\n")
    write_text(crash.config, config.read_text(encoding="utf-8"))


def write_batch(path: Path, trainer: Trainer, error: NotFinite) -> None:
    assert error.batch is not None
    batch = error.batch
    part = trainer.world.share(len(batch.sample_ids))  # of several processes, what rank 0 had
    tensors = {
        "sample_ids": torch.from_numpy(batch.sample_ids[part.start : part.stop]),
        "images": batch.images,
        "target": batch.target,
    }
    class_weights = getattr(trainer.criterion, "weight", None)
    if class_weights is not None:
        tensors["class_weights"] = class_weights
    is_last = batch.images.is_contiguous(memory_format=torch.channels_last)
    header = {"kind": KIND, "loss": repr(error.loss), "norm": repr(error.norm)}
    write_tensors(path, tensors, {**header, "channels_last": is_last})


def read_batch(path: Path) -> CrashedBatch:
    """The batch as the model saw it, down to its layout in memory, on which the last bits depend.

    Raises:
        UserError: the file is damaged, or no batch.
    """
    tensors, header = read_tensors(path)
    if header.get("kind") != KIND:
        raise UserError(f"{path} is no batch but a file of kind {header.get('kind')!r}")
    layout = torch.channels_last if header["channels_last"] else torch.contiguous_format
    return CrashedBatch(
        sample_ids=tensors["sample_ids"].tolist(),
        images=tensors["images"].contiguous(memory_format=layout),
        target=tensors["target"],
        class_weights=tensors.get("class_weights"),
        loss=float(header["loss"]),
        norm=float(header["norm"]),
    )


def facts(trainer: Trainer, error: NotFinite) -> dict[str, Any]:
    """What happened where, for a person; JSON has no NaN, so such numbers are words."""
    found: dict[str, Any] = {
        "message": str(error),
        "epoch": trainer.progress.epoch + 1,
        "step": trainer.step,
        "lr": trainer.lr_at(trainer.step),
    }
    if error.batch is not None:
        names = trainer.batches.image_set.names
        found["loss"], found["gradient_norm"] = as_json(error.loss), as_json(error.norm)
        found["samples"] = {int(i): names[i] for i in error.batch.sample_ids}
    return found


def as_json(number: float) -> float | str:
    return number if math.isfinite(number) else repr(number)
