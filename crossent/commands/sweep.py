"""python -m crossent sweep -c SWEEP.yaml [section.key=value ...], or --resume FOLDER"""

import argparse
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossent.experiments.space import Sweep

CONFIG = "sweep.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("-c", "--config", metavar="SWEEP.yaml", type=Path, help="what to try")
    start.add_argument(
        "--resume", metavar="FOLDER", type=Path,
        help="go on with a sweep, or help with one: several processes may do so",
    )  # fmt: skip
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="folder of the sweep to make")


def run(args: argparse.Namespace) -> int:
    from crossent.device import choose_device
    from crossent.errors import EXIT_DONE, UserError
    from crossent.experiments.results import as_text, collect, write_files
    from crossent.experiments.study import Trials
    from crossent.experiments.sweep import train_trials
    from crossent.experiments.sweep_table import Table
    from crossent.train_run import Caller
    from crossent.training.signals import Interrupted

    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise UserError("leave out torchrun: start the sweep, then help it with sweep --resume")
    folder, sweep = resume(args) if args.resume else begin(args)
    trials = Trials.open(folder, sweep)
    caller = Caller(f"python -m crossent sweep --resume {folder}", silent=True)
    caller.stop.install()
    try:
        with Table(trials) as table:
            train_trials(trials, caller, table)
        with caller.stop.install().raising():
            results = collect(trials, choose_device(sweep.settings.train.device))
            write_files(results)
    except Interrupted as interrupted:
        print(f"{interrupted}: all is saved; go on with: {caller.go_on}")
        return interrupted.exit_status
    print(f"\n{as_text(results)}\nsee {folder / 'sweep.html'} and {folder / 'trials.csv'}")
    if not any(row.state in ("done", "running") for row in results.rows):
        raise UserError(f"no trial of {folder} came to an end; the table says why")
    return EXIT_DONE


def begin(args: argparse.Namespace) -> tuple[Path, "Sweep"]:
    """A new sweep, after a look at all that could stop every trial of it."""
    from dataclasses import replace

    from crossent.errors import UserError
    from crossent.experiments.group import wants_group
    from crossent.experiments.space import load_sweep
    from crossent.files import write_text
    from crossent.pretrained import follow_weights
    from crossent.training.run_folder import RunFolder
    from models import MODEL_NAMES

    sweep = load_sweep(str(args.config), args.overrides, MODEL_NAMES)
    if not {"model.name", "model.weights"} & sweep.space.keys():  # else each trial has its own
        sweep = replace(sweep, settings=follow_weights(sweep.settings))
    wants_group(None, sweep.settings, None)
    check_pictures(sweep)
    name = f"{args.config.stem}-sweep-{datetime.now():%Y%m%d-%H%M%S}"
    folder = args.out or Path("runs") / name
    RunFolder(folder).make()
    if any((folder / file).exists() for file in (CONFIG, "config.yaml", "group.json")):
        raise UserError(f"{folder} is used already: sweep --resume {folder}, or another --out")
    write_text(folder / CONFIG, sweep.to_yaml())
    return folder, sweep


def check_pictures(sweep: "Sweep") -> None:
    """Better one mistake now than one in each trial. What is decoded here, trials find cached.

    All of it, that is, unless there are folds, or another data.image_size is tried.

    Raises:
        UserError: the pictures cannot be used as they are.
    """
    from crossent.build import make_data

    if sweep.settings.data.source != "drawings":
        make_data(sweep.settings)


def resume(args: argparse.Namespace) -> tuple[Path, "Sweep"]:
    """A sweep as it was, or with another number of trials.

    Raises:
        UserError: the folder holds none, or its trials could not be compared any more.
    """
    from crossent.config import differences
    from crossent.errors import UserError
    from crossent.experiments.space import load_sweep
    from crossent.files import write_text
    from crossent.resume import FREE

    folder: Path = args.resume
    if args.out:
        raise UserError(f"--resume {folder} has its own folder; leave out --out")
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder} holds no sweep: it has no {CONFIG}")
    path = str(folder / CONFIG)
    old, new = load_sweep(path), load_sweep(path, args.overrides)
    found = differences(old.settings, new.settings)
    refused = [line for line in found if line.partition(":")[0] not in FREE]
    if refused or old.plan.model_copy(update={"trials": new.plan.trials}) != new.plan:
        raise UserError(
            f"{folder}: a sweep goes on with its own settings; only sweep.trials may differ"
            + (f": {'; '.join(refused)}" if refused else "")
        )
    check_pictures(new)
    if new != old:
        write_text(folder / CONFIG, new.to_yaml())
    return folder, new
