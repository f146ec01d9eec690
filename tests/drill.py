"""A training that something befalls at an exact place and step.

One function of the program is wrapped from outside: the program itself knows nothing of drills.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

from crossent.evaluation.evaluate import Evaluator
from crossent.training import run, run_folder, trainer

# Where a process may die: the function, and whether before or after it has done its work.
PLACES: dict[str, tuple[Any, str, str]] = {
    "before a step": (trainer.Trainer, "train_step", "before"),
    "after a step": (trainer.Trainer, "train_step", "after"),
    "in validation": (Evaluator, "__call__", "before"),
    "before the line of an epoch": (run_folder.RunFolder, "append", "before"),
    "after the line of an epoch": (run_folder.RunFolder, "append", "after"),
    "in the middle of a save": (os, "replace", "before"),  # the temporary file is there
    "after a save": (os, "replace", "after"),
    "before the best model": (run, "write_model", "before"),
    "after the best model": (run, "write_model", "after"),
}


def arm(place: str, step: int) -> None:
    """Let this process kill itself at a place, the first time it comes there after `step` steps."""
    step_of = watch_steps()

    def is_due() -> bool:
        return step_of() >= step

    owner, name, moment = PLACES[place]
    setattr(owner, name, deadly(getattr(owner, name), moment, is_due))


def watch_steps() -> Callable[[], int]:
    """Count the steps of the whole run; -1 until this process has done or resumed one."""
    steps = -1
    train_step, resume = trainer.Trainer.train_step, run.Run.resume

    def counting(self: trainer.Trainer, batch: Any, lr: float | None = None) -> None:
        nonlocal steps
        train_step(self, batch, lr)
        steps = self.step

    def resuming(self: run.Run) -> None:
        nonlocal steps
        resume(self)
        steps = self.trainer.step

    setattr(trainer.Trainer, "train_step", counting)  # noqa: B010 - mypy refuses an assignment
    setattr(run.Run, "resume", resuming)  # noqa: B010
    return lambda: steps


def deadly(
    function: Callable[..., Any], moment: str, is_due: Callable[[], bool]
) -> Callable[..., Any]:
    """The same function, but before or after its work it ends the process, if that is due."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if moment == "before" and is_due():
            die()
        result = function(*args, **kwargs)
        if moment == "after" and is_due():
            die()
        return result

    return wrapped


def die() -> None:
    """As the kernel kills when memory runs out: no handler, no finally, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)
