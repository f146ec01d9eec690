"""Everything that a run folder tells at this moment, also of a run that is not over."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from crossent.build import make_data
from crossent.config import Settings, load_settings
from crossent.errors import UserError
from crossent.evaluation.measure import Findings, examine
from crossent.model_file import Classifier, load_model, model_path
from crossent.tensor_file import read_tensors
from crossent.training.run_folder import RunFolder
from data.images import Data, Unusable


@dataclass(frozen=True)
class RecordedRun:
    """What is not there yet is None, or empty."""

    folder: RunFolder
    settings: Settings
    origins: dict[str, str]  # where each setting came from
    environment: dict[str, Any]
    records: list[dict[str, Any]]  # the lines of metrics.jsonl
    unusable: list[Unusable]
    data: Data | None
    problem: str  # why there is no data; empty if there is
    classifier: Classifier | None
    findings: Findings | None
    sample_losses: torch.Tensor | None  # mean E of each training picture; nan: never drawn
    time_s: dict[str, float]  # what the seconds went into

    @property
    def start(self) -> dict[str, Any] | None:
        """The first line of the log: E untrained, ln K, the classes."""
        return next((r for r in self.records if r["kind"] == "start"), None)

    @property
    def epochs(self) -> list[dict[str, Any]]:
        return [r for r in self.records if r["kind"] == "epoch"]

    @property
    def is_over(self) -> bool:
        return any(r["kind"] == "end" for r in self.records)

    @property
    def class_names(self) -> list[str]:
        if self.classifier is not None:
            return self.classifier.class_names
        return self.start["class_names"] if self.start else []

    @property
    def root(self) -> str | None:
        """The folder of the pictures, if they are files."""
        return self.settings.data.root if self.settings.data.source == "folder" else None


def read_run(folder: RunFolder, device: torch.device, data: Data | None = None) -> RecordedRun:
    """Read the folder and, where there are a model and its pictures, measure the model.

    Args:
        data: if the caller has it already; else it is loaded as the settings say.

    Raises:
        UserError: this is no run folder, or a file in it is damaged.
    """
    model_path(folder.path)
    if not folder.config.is_file():
        raise UserError(f"{folder.path} is not a run folder: it has no config.yaml")
    settings, environment = load_settings(folder.config).settings, read_json(folder.environment)
    problem = ""
    if data is None:
        data, problem = load_again(settings, environment.get("data_fingerprint"))
    classifier = load_model(folder.model, device) if folder.model.exists() else None
    can_examine = classifier is not None and data is not None and len(data.val) > 0
    sample_losses, time_s = read_checkpoint(folder.last)
    records = folder.records()
    if records and "time_s" in records[-1]:
        time_s = records[-1]["time_s"]  # the end's
    return RecordedRun(
        folder=folder,
        settings=settings,
        origins=read_json(folder.origins),
        environment=environment,
        records=records,
        unusable=read_unusable(folder.path / "unusable.csv"),
        data=data,
        problem=problem,
        classifier=classifier,
        findings=examine(classifier, data.val) if can_examine else None,  # type: ignore[arg-type, union-attr]
        sample_losses=sample_losses,
        time_s=time_s,
    )


def load_again(settings: Settings, fingerprint: str | None) -> tuple[Data | None, str]:
    """Load the pictures, if they are still those of the run; else say why not."""
    try:
        data = make_data(settings)
    except UserError as error:
        return None, str(error)
    if fingerprint not in (None, data.fingerprint):
        return None, "the pictures have changed since this run was trained"
    return data, ""


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in the file; an empty one if there is no file yet."""
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def read_unusable(path: Path) -> list[Unusable]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [Unusable(row["path"], row["reason"]) for row in csv.DictReader(file)]


def read_checkpoint(path: Path) -> tuple[torch.Tensor | None, dict[str, float]]:
    """Return the mean loss of each training picture, and the seconds spent so far."""
    if not path.is_file():
        return None, {}
    tensors, header = read_tensors(path)
    time_s = header["progress"].get("time_s", {})
    if "samples.total" not in tensors:
        return None, time_s
    return tensors["samples.total"] / tensors["samples.count"], time_s
