"""Interrupt a training at an exact point of the code and an exact step, by wrapping a function."""

import os
from collections.abc import Callable
from typing import Any

from crossent.evaluation.evaluate import Evaluator
from crossent.report import report
from crossent.training import run, run_folder, trainer

# By name: owner and name of the function, before or after its call, and a word in its arguments.
PLACES: dict[str, tuple[Any, str, str, str]] = {
    "before a step": (trainer.Trainer, "train_step", "before", ""),
    "after a step": (trainer.Trainer, "train_step", "after", ""),
    "in validation": (Evaluator, "__call__", "before", ""),
    "before the best model": (run, "write_tensors", "before", ""),
    "in the save of the best model": (os, "replace", "before", "model.safetensors"),
    "after the best model": (run, "write_tensors", "after", ""),
    "before the line of an epoch": (run_folder.RunFolder, "append", "before", "'epoch'"),
    "after the line of an epoch": (run_folder.RunFolder, "append", "after", "'epoch'"),
    # the temporary file is written
    "in the middle of a save": (os, "replace", "before", "last.safetensors"),
    "after a save": (os, "replace", "after", "last.safetensors"),
    "after the first line": (run_folder.RunFolder, "append", "after", "'start'"),
    "after the last line": (run_folder.RunFolder, "append", "after", "'end'"),
    "before the report": (report, "write_report", "before", ""),
}


def arm(place: str, step: int, happen: Callable[[], object]) -> None:
    """Call `happen` each time the run reaches the place, from `step` finished steps on."""
    trainers: list[trainer.Trainer] = []
    owner, name, moment, mention = PLACES[place]
    make, function = trainer.Trainer.__post_init__, getattr(owner, name)

    def watched_make(self: trainer.Trainer) -> None:
        make(self)
        trainers.append(self)

    def watched(*args: Any, **kwargs: Any) -> Any:
        if moment == "before" and is_reached(args):
            happen()
        result = function(*args, **kwargs)
        if moment == "after" and is_reached(args):
            happen()
        return result

    def is_reached(args: tuple[Any, ...]) -> bool:
        return (trainers[-1].step if trainers else 0) >= step and mention in str(args)

    setattr(trainer.Trainer, "__post_init__", watched_make)  # noqa: B010 - mypy refuses "="
    setattr(owner, name, watched)
