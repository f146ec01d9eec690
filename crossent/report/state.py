"""Everything that a run folder tells at this moment, also of a run that is not over."""

import csv
import json
from dataclasses import dataclass, replace
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
from crossent.training.samples import SampleLosses
from data.images import Data, Unusable


@dataclass(frozen=True)
class RunState:
    """What is not there yet is None, or empty."""

    folder: RunFolder
    settings: Settings
    origins: dict[str, str]
    environment: dict[str, Any]
    records: list[dict[str, Any]]
    unusable: list[Unusable]
    data: Data | None
    problem: str  # why there is no data; empty if there is
    classifier: Classifier | None
    findings: Findings | None
    samples: SampleLosses | None

    @property
    def start(self) -> dict[str, Any] | None:
        """The first line of the log: E untrained, ln K, the classes."""
        return next((r for r in self.records if r["kind"] == "start"), None)

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The lines of the epochs."""
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


def read_state(folder: RunFolder, device: torch.device, data: Data | None = None) -> RunState:
    """Read the folder and, where there are a model and its pictures, measure it.

    Args:
        data: if the caller has it already; else it is loaded as the settings say.

    Raises:
        UserError: this is no run folder, or a file in it is damaged.
    """
    model_path(folder.path)
    if not folder.config.is_file():
        raise UserError(f"{folder.path} is not a run folder: it has no config.yaml")
    state = RunState(
        folder=folder,
        settings=load_settings(folder.config).settings,
        origins=read_json(folder.origins),
        environment=read_json(folder.environment),
        records=folder.records(),
        unusable=read_unusable(folder.path / "unusable.csv"),
        data=data,
        problem="",
        classifier=load_model(folder.model, device) if folder.model.exists() else None,
        findings=None,
        samples=read_samples(folder.last),
    )
    return with_findings(state if data is not None else with_data(state))


def with_data(state: RunState) -> RunState:
    """Load the pictures again, if they are still those that the run was trained on."""
    try:
        data = make_data(state.settings)
    except UserError as error:
        return replace(state, problem=str(error))
    expected = state.environment.get("data_fingerprint", data.fingerprint)
    if data.fingerprint != expected:
        return replace(state, problem="the pictures have changed since this run was trained")
    return replace(state, data=data)


def with_findings(state: RunState) -> RunState:
    if state.classifier is None or state.data is None or not len(state.data.val):
        return state
    return replace(state, findings=examine(state.classifier, state.data.val))


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty if there is none yet."""
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def read_unusable(path: Path) -> list[Unusable]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [Unusable(row["path"], row["reason"]) for row in csv.DictReader(file)]


def read_samples(path: Path) -> SampleLosses | None:
    """The losses of the training pictures, from the last checkpoint."""
    if not path.is_file():
        return None
    tensors, _ = read_tensors(path)
    if "samples.total" not in tensors:
        return None
    return SampleLosses(tensors["samples.total"], tensors["samples.count"])
