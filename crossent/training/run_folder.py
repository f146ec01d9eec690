"""The folder of a run: which file is what, and the log of metrics."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossent.errors import UserError
from crossent.files import write_text
from data.images import Unusable


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run. DESIGN of the files: README, "A run folder"."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def last(self) -> Path:
        return self.path / "last.safetensors"

    @property
    def model(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def curve(self) -> Path:
        return self.path / "E-curve.png"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def origins(self) -> Path:
        return self.path / "origins.json"

    def create(self, config: str) -> None:
        """Make the folder with its config.yaml; one that holds a run already is left alone.

        Raises:
            UserError: a run lives here, or the folder cannot be made.
        """
        if self.config.exists():
            raise UserError(
                f"{self.path} holds a run already: go on with --resume {self.path}, "
                "or name another folder with --out"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.path} cannot be made: {error.strerror}") from None
        write_text(self.config, config)

    def describe_environment(self, environment: dict[str, Any]) -> None:
        write_text(self.environment, json.dumps(environment, indent=2) + "\n")

    def note_origins(self, origins: dict[str, str]) -> None:
        """origins.json: where each setting came from, for the report."""
        write_text(self.origins, json.dumps(origins, indent=2) + "\n")

    def list_unusable(self, unusable: Sequence[Unusable]) -> None:
        """unusable.csv: each file that was left out, and why."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            [("path", "reason"), *((bad.path, bad.reason) for bad in unusable)]
        )
        write_text(self.path / "unusable.csv", text.getvalue())

    def append(self, record: dict[str, Any]) -> None:
        """Add a whole line to metrics.jsonl and hand it to the system at once."""
        line = json.dumps(record, allow_nan=False) + "\n"
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(line)

    def records(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a torn last line, left by a kill, is not one."""
        if not self.metrics.exists():
            return []
        text = self.metrics.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def keep_records(self, count: int) -> None:
        """Drop what was logged after the checkpoint that a run goes on from."""
        lines = [json.dumps(record) + "\n" for record in self.records()[:count]]
        write_text(self.metrics, "".join(lines))
