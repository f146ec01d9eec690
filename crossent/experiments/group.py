"""Runs that belong together: the folds of a cross-validation, or one config with several seeds.

GROUP/group.yaml   what all have in common     GROUP/fold-1, ...   ordinary run folders
GROUP/group.json   which runs there are        GROUP/summary.json, E-curves.png   what came of them
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossent.config import Settings, load_settings, to_yaml, with_values
from crossent.errors import UserError
from crossent.files import write_text
from crossent.resume import is_finished
from crossent.training.run_folder import RunFolder

Variant = dict[str, Any]  # values by dotted name
MIN_SEEDS = 2


@dataclass(frozen=True)
class Group:
    """Paths of a group."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "group.yaml"

    @property
    def facts(self) -> Path:
        return self.path / "group.json"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def curves(self) -> Path:
        return self.path / "E-curves.png"

    @property
    def exists(self) -> bool:
        return self.facts.exists()

    @property
    def kind(self) -> str:
        """folds or seeds."""
        return str(self._read()["kind"])

    @property
    def variants(self) -> dict[str, Variant]:
        """The name of each run, and the settings in which it differs."""
        return dict(self._read()["runs"])

    @property
    def runs(self) -> list[Path]:
        return [self.path / name for name in self.variants]

    def create(self, settings: Settings, num_seeds: int | None) -> None:
        """Write down what is to be trained.

        Raises:
            UserError: the folder holds a run or a group already.
        """
        if self.exists or RunFolder(self.path).config.exists():
            raise UserError(
                f"{self.path} is used already: go on with --resume {self.path}, "
                "or name another folder with --out"
            )
        kind, runs = (
            ("seeds", seeds(settings, num_seeds)) if num_seeds else ("folds", folds(settings))
        )
        write_text(self.config, to_yaml(settings))
        write_text(self.facts, json.dumps({"kind": kind, "runs": runs}, indent=2) + "\n")

    @contextmanager
    def beginning(self, settings: Settings, num_seeds: int | None) -> Iterator[None]:
        """`create` for the block that trains: a mistake that stops the first run takes it back.

        As of a single run, so that the same command can be given again, mended.
        """
        self.create(settings, num_seeds)
        try:
            yield
        except UserError:
            if not any(RunFolder(run).config.exists() for run in self.runs):
                self.facts.unlink()
                self.config.unlink()
            raise

    def keep_config(self, settings: Settings) -> None:
        """Go on with other settings where those of all runs allow it, also of those to come.

        Raises:
            UserError: they would change which runs there are, or the result of one that has begun.
        """
        if to_yaml(settings) == self.config.read_text(encoding="utf-8"):
            return
        old = load_settings(self.config).settings
        if old.data.folds != settings.data.folds:
            raise UserError(
                f"{self.path} cannot go on with other folds: data.folds: {old.data.folds} -> "
                f"{settings.data.folds}. Start a new group with --out"
            )
        for name, own in self.variants.items():
            is_finished(RunFolder(self.path / name), with_values(settings, own))
        write_text(self.config, to_yaml(settings))

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.facts.read_text(encoding="utf-8"))
        return found


def wants_group(resume: Path | None, settings: Settings, num_seeds: int | None) -> bool:
    """Whether several runs are asked for.

    Raises:
        UserError: in a way that makes no sense.
    """
    wants_folds = settings.data.folds is not None and settings.data.fold is None
    is_group = Group(resume).exists if resume else wants_folds or num_seeds is not None
    if num_seeds is not None and resume:
        raise UserError(f"--resume {resume} knows its runs; leave out --seeds")
    if num_seeds is not None and num_seeds < MIN_SEEDS:
        raise UserError(f"--seeds {num_seeds}: expected {MIN_SEEDS} or more")
    if wants_folds and num_seeds is not None:
        raise UserError("--seeds and data.folds are two questions: ask them one after the other")
    if wants_folds and settings.train.patience is not None:
        raise UserError(
            "train.patience would end each fold by the pictures that it is judged by; "
            "with data.folds set train.patience=null and the epochs"
        )
    if is_group and "TORCHELASTIC_RUN_ID" in os.environ:
        raise UserError(
            "a group of runs is trained by one process: leave out torchrun, "
            "or give it one run, such as data.folds=5 data.fold=1"
        )
    return is_group


def folds(settings: Settings) -> dict[str, Variant]:
    """A run for each fold. None chooses its epoch by the very pictures that it is judged by."""
    assert settings.data.folds
    numbers = range(1, settings.data.folds + 1)
    return {f"fold-{k}": {"data.fold": k, "train.keep": "last"} for k in numbers}


def seeds(settings: Settings, num_seeds: int) -> dict[str, Variant]:
    """A run for each seed, all with the same split, so that they can be compared."""
    numbers = range(settings.seed, settings.seed + num_seeds)
    return {f"seed-{s}": {"seed": s, "data.seed": settings.data_seed} for s in numbers}
