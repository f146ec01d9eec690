"""python -m crossent.drill PLACE STEP [arguments of train.py]: a training that kills itself.

For `verify-resume` and the tests. The training is train.py's own, with one of its functions wrapped
from outside: the program itself knows nothing of drills.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from crossent.evaluation.evaluate import Evaluator
from crossent.training import fit, loop, run_folder

# Where a process may die: the function, and whether before or after it has done its work.
PLACES: dict[str, tuple[Any, str, str]] = {
    "before a step": (loop.Trainer, "train_step", "before"),
    "after a step": (loop.Trainer, "train_step", "after"),
    "in validation": (Evaluator, "__call__", "before"),
    "before the line of an epoch": (run_folder.RunFolder, "append", "before"),
    "after the line of an epoch": (run_folder.RunFolder, "append", "after"),
    "in the middle of a save": (os, "replace", "before"),  # the temporary file is there
    "after a save": (os, "replace", "after"),
    "before the best model": (fit, "write_model", "before"),
    "after the best model": (fit, "write_model", "after"),
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
    train_step, resume = loop.Trainer.train_step, fit.Run.resume

    def counting(trainer: loop.Trainer, batch: Any) -> None:
        nonlocal steps
        train_step(trainer, batch)
        steps = trainer.step

    def resuming(run: fit.Run) -> None:
        nonlocal steps
        resume(run)
        steps = run.trainer.step

    setattr(loop.Trainer, "train_step", counting)  # noqa: B010 - mypy refuses an assignment
    setattr(fit.Run, "resume", resuming)  # noqa: B010
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
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))  # Windows knows only the other


def main() -> int:
    from crossent.cli import run_main
    from train import main as train

    place, step, *arguments = sys.argv[1:]
    arm(place, int(step))
    return run_main(train, arguments)


if __name__ == "__main__":
    sys.exit(main())
