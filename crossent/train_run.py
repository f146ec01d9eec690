"""Train one run, new or from its last checkpoint; or try one step or learning rates."""

import sys
from base64 import b64encode
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossent.build import make_data, make_trainer, model_arguments
from crossent.config import Settings, to_yaml
from crossent.errors import EXIT_DONE, EXIT_LOST, EXIT_NOT_FINITE, UserError
from crossent.files import write_text
from crossent.resume import is_finished
from crossent.training.console import Console, EventLog
from crossent.training.distributed import ALONE, Processes, WorkerLost
from crossent.training.find_lr import do_step, draw_rates, find_lr, suggest_lr
from crossent.training.not_finite import NotFinite
from crossent.training.run import Run
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted, StopRequest
from data.images import Data


@dataclass(frozen=True)
class Caller:
    """Options that the calling program passes to each run that it trains.

    Args:
        resume_command: the command to print after an interruption.
        stop: shared by all runs, so that no signal between two runs is lost.
        watch: see `Run`.
        silent: print nothing.
    """

    resume_command: str
    stop: StopRequest = field(default_factory=StopRequest)
    watch: Callable[[dict[str, Any]], None] | None = None
    silent: bool = False


def train_run(
    settings: Settings, path: Path, is_resumed: bool, caller: Caller, processes: Processes = ALONE
) -> tuple[int, Run | None, Data | None]:
    """Train to the last epoch; if training stops early, print why.

    Args:
        is_resumed: whether to resume the run in the folder; rank 0 decides.

    Raises:
        UserError: the settings, the pictures or the folder cannot be used.
        Pruned: raised by `caller.watch`.

    Returns:
        the exit status and, if this call completed the training, the run and its data.
    """
    folder = RunFolder(path)
    console = Console(silent=caller.silent or not processes.is_first)
    with folder.in_use() if processes.is_first else nullcontext():
        try:
            with processes.name_the_lost():
                is_resumed = processes.broadcast(is_resumed)
                stop = caller.stop.install()
                if is_resumed and processes.broadcast(
                    processes.is_first and is_finished(folder, settings)
                ):
                    num_epochs = sum(r["kind"] == "epoch" for r in folder.records())
                    console.line(f"{path} is finished: epoch {num_epochs} is done; nothing to do")
                    return EXIT_DONE, None, None
                config = to_yaml(settings)
                if processes.is_first and not is_resumed:
                    folder.create(config)
                with stop.raising():
                    run, data = begin(settings, folder, processes, caller, console)
                if processes.is_first:
                    write_text(folder.config, config)  # a resumed run may have other settings
                run.fit()
        except Interrupted as interrupted:
            is_saved = folder.last.exists()
            what = f"saved in {folder.last}" if is_saved else "there is nothing to save yet"
            console.line(f"{interrupted}: {what}; resume with: {caller.resume_command}")
            return interrupted.exit_status, None, None
        except (NotFinite, WorkerLost) as error:
            print(f"error: {error}", file=sys.stderr)
            return EXIT_NOT_FINITE if isinstance(error, NotFinite) else EXIT_LOST, None, None
    return EXIT_DONE, run, data


def begin(
    settings: Settings, folder: RunFolder, processes: Processes, caller: Caller, console: Console
) -> tuple[Run, Data]:
    """Prepare everything before the first step; a signal ends this at once, as nothing is lost."""
    data = make_data(settings)  # the cache has a lock, so that only one process decodes
    processes.wait_for_all("decoded")
    check_same_pictures(data, processes)
    console.data(data)
    trainer = make_trainer(settings, data, processes, load_weights=not folder.last.exists())
    description = {  # stored in the header of model.safetensors
        "class_names": data.class_names,
        "model": {"name": settings.model.name, "arguments": model_arguments(settings)},
        "preprocessing": trainer.evaluator.preprocessing.to_dict(),
        "precision": trainer.evaluator.precision,
        "settings": settings.model_dump(mode="json"),
        "data_fingerprint": data.fingerprint,
        "trained_on": b64encode(data.train.prints).decode(),
    }
    run = Run(
        trainer,
        folder,
        settings.train.epochs,
        description=description,
        unusable=data.unusable,
        keeps_last=settings.data.folds is not None,
        checkpoint_every=settings.train.checkpoint_every,
        watch=caller.watch,
        stop=caller.stop,
        console=console,
        events=EventLog(folder.tensorboard) if processes.is_first else None,
    )
    run.start_or_resume()
    return run, data


def check_same_pictures(data: Data, processes: Processes) -> None:
    """Raise UserError on all processes if the pictures of one differ from those of rank 0."""
    differs = processes.broadcast(data.fingerprint) != data.fingerprint
    if any(processes.add_numbers([float(differs)])):
        raise UserError("the processes have different pictures: all need the same in data.root")


def try_out(settings: Settings, processes: Processes, wants_lr: bool) -> None:
    """Train for one step, to find mistakes before a long run; or suggest a learning rate."""
    data = make_data(settings)
    Console(silent=not processes.is_first).data(data)
    trainer = make_trainer(settings, data, processes)
    if not wants_lr:
        E = do_step(trainer, next(trainer.batches.epoch(0)))
        if processes.is_first:
            print(f"one step done: E = {E:.4f}; nothing was kept")
        return
    lrs, Es = find_lr(trainer)
    if processes.is_first:
        suggestion, path = suggest_lr(lrs, Es), Path("lr-finder.png")
        print(f"E falls fastest at optim.lr={suggestion:.2g}", flush=True)
        draw_rates(lrs, Es, suggestion, path)
        print(f"see {path}")
