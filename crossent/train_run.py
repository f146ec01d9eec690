"""Train one run: in a new folder, or on from the last checkpoint of an old one."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossent.build import build, make_data
from crossent.config import Loaded, to_yaml
from crossent.errors import EXIT_DONE, EXIT_LOST, EXIT_NOT_FINITE
from crossent.resume import is_finished
from crossent.training.console import Console
from crossent.training.distributed import ALONE, WorkerLost, World
from crossent.training.fit import Run
from crossent.training.loop import NotFinite
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted, StopRequest
from crossent.training.timing import Laps
from data.images import Data


@dataclass(frozen=True)
class Part:
    """What a run has to know of the whole that it is a part of.

    Args:
        go_on: the command that goes on with the whole.
        stop: one for all parts, so that no signal between two of them is lost.
        watch: see `Run`.
        silent: whether to leave the terminal to others.
    """

    go_on: str
    stop: StopRequest = field(default_factory=StopRequest)
    watch: Callable[[dict[str, Any]], None] | None = None
    silent: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a training ended: the exit status and, if it reached its end, the run and its data."""

    status: int
    run: Run | None = None
    data: Data | None = None


def train_run(
    loaded: Loaded, path: Path, is_old: bool, part: Part, world: World = ALONE
) -> Outcome:
    """Train to the last epoch, and print how that ended.

    Raises:
        UserError: the settings, the pictures or the folder cannot be used.
        Pruned: raised by `part.watch`.
    """
    settings = loaded.settings
    folder, console = RunFolder(path), Console(silent=part.silent or not world.is_first)
    with folder.in_use() if world.is_first else nullcontext():
        try:
            with world.name_the_lost():
                begun = begin(loaded, folder, is_old, world, part, console)
                if begun is None:
                    epochs = settings.train.epochs
                    console.line(f"{path} is finished: {epochs} epochs are done; nothing to do")
                    return Outcome(EXIT_DONE)
                run, data = begun
                run.fit()
        except Interrupted as interrupted:
            console.line(f"{interrupted}: {folder.saved()}; go on with: {part.go_on}")
            return Outcome(interrupted.exit_status)
        except (NotFinite, WorkerLost) as error:
            print(f"error: {error}", file=sys.stderr)
            return Outcome(EXIT_NOT_FINITE if isinstance(error, NotFinite) else EXIT_LOST)
    return Outcome(EXIT_DONE, run, data)


def begin(
    loaded: Loaded, folder: RunFolder, is_old: bool, world: World, part: Part, console: Console
) -> tuple[Run, Data] | None:
    """Do everything up to the first step.

    Returns:
        the run, with the state that it goes on from, and its pictures; None if it is finished.

    Raises:
        Interrupted: a signal came; nothing is lost by that.
    """
    settings, stop = loaded.settings, part.stop.install()
    if is_old and is_finished(folder, settings):
        return None
    is_new = world.is_first and not is_old
    with folder.beginning(to_yaml(settings)) if is_new else nullcontext(), stop.raising():
        laps = Laps()
        with world.first_goes_ahead():
            data = make_data(settings)
        laps("decode")
        console.data(data)
        run = build(settings, data, folder, world, stop)
        run.console, run.watch, run.trainer.laps = console, part.watch, laps
        laps("start")
        run.start_or_resume()
    if world.is_first:
        folder.keep_config(to_yaml(settings))
        folder.keep_origins(loaded.origins)
    return run, data
