"""Runs that belong together: the folds of a cross-validation, or one config with several seeds.

GROUP/group.yaml   what all have in common     GROUP/fold-1, ...   ordinary run folders
GROUP/group.json   which runs there are        GROUP/summary.json, E-curves.png   what came of them
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crossent.config import Loaded, Settings, load_settings, to_yaml
from crossent.errors import EXIT_DONE, UserError
from crossent.files import write_text
from crossent.training.run_folder import RunFolder

# Trains in a folder, or goes on in one that holds a run already; returns an exit status.
TrainOne = Callable[[Loaded, Path, bool], int]


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
    def variants(self) -> dict[str, list[str]]:
        """The name of each run, and the settings in which it differs."""
        return dict(self._read()["runs"])

    @property
    def runs(self) -> list[Path]:
        return [self.path / name for name in self.variants]

    def create(self, settings: Settings, num_seeds: int | None) -> None:
        """Make the folder.

        Raises:
            UserError: it holds a run or a group already, or cannot be made.
        """
        RunFolder(self.path).make()
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

    def _read(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.facts.read_text(encoding="utf-8"))
        return found


def is_group(settings: Settings, num_seeds: int | None) -> bool:
    """Whether these settings ask for several runs.

    Raises:
        UserError: for folds and seeds at once.
    """
    wants_folds = settings.data.folds is not None and settings.data.fold is None
    if wants_folds and num_seeds:
        raise UserError("--seeds and data.folds are two questions: ask them one after the other")
    return wants_folds or bool(num_seeds)


def folds(settings: Settings) -> dict[str, list[str]]:
    """A run for each fold. None chooses its epoch by the very pictures that it is judged by."""
    assert settings.data.folds
    numbers = range(1, settings.data.folds + 1)
    return {f"fold-{k}": [f"data.fold={k}", "train.keep=last"] for k in numbers}


def seeds(settings: Settings, num_seeds: int) -> dict[str, list[str]]:
    """A run for each seed, all with the same split, so that they can be compared."""
    numbers = range(settings.seed, settings.seed + num_seeds)
    return {f"seed-{s}": [f"seed={s}", f"data.seed={settings.data_seed}"] for s in numbers}


def train_group(group: Group, overrides: list[str], train_one: TrainOne) -> int:
    """Train the runs that are not done yet, one after the other.

    Args:
        overrides: settings that differ from those of the group.

    Returns:
        the exit status of the first run that did not end well, else that all is done.
    """
    for name, own in group.variants.items():
        path = group.path / name
        print(f"== {name} of {group.path}", flush=True)
        loaded = load_settings(group.config, [*overrides, *own])
        status = train_one(loaded, path, RunFolder(path).config.exists())
        if status != EXIT_DONE:
            return status
    return EXIT_DONE
