"""Train an image classifier: python train.py [-c CONFIG.yaml] [section.key=value ...]

Without arguments it trains configs/default.yaml on pictures that it draws itself.
`--print-config` shows every setting, its value and where that came from.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crossent.cli import refuse_strangers, run_main
from crossent.errors import EXIT_DONE, UserError
from crossent.training.signals import leave_on_signals

if TYPE_CHECKING:  # torch takes seconds to import, --help does not need it
    from crossent.config import Loaded, Settings
    from crossent.training.distributed import Processes


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python train.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("-c", "--config", metavar="CONFIG.yaml", type=Path, help="settings to start from")
    add("overrides", nargs="*", metavar="section.key=value", help="settings that differ from them")
    add(
        "--seeds", metavar="N", type=int, help="train N times, with seed, seed + 1, ..., as a group"
    )
    add("--print-config", action="store_true", help="show the settings and stop")
    add("--dry-run", action="store_true", help="build everything, do one step, keep nothing")
    add("--find-lr", action="store_true", help="try rates, draw lr-finder.png, keep no run")
    add = parser.add_mutually_exclusive_group().add_argument
    add("--out", metavar="RUN", type=Path, help="folder of the run to make")
    add("--resume", metavar="RUN", type=Path, help="go on with a stopped run, or group of runs")
    # intermixed: a setting may stand behind --out RUN
    args, unknown = parser.parse_known_intermixed_args(arguments)
    refuse_strangers(unknown, args.overrides)
    return args


def main(arguments: Sequence[str]) -> int:
    args = parse_arguments(arguments)
    leave_on_signals()  # what follows takes seconds, and has nothing to tidy up
    from crossent.config import load_settings, render
    from crossent.experiments.group import wants_group
    from crossent.pretrained import follow_weights
    from crossent.training.distributed import join_processes
    from models import MODEL_NAMES

    loaded = load_settings(config_path(args), args.overrides, model_names=MODEL_NAMES)
    if args.print_config:
        print(render(loaded), end="")
        return EXIT_DONE
    settings = follow_weights(loaded.settings)
    is_group = wants_group(args.resume, settings, args.seeds)
    with join_processes(settings.train.timeout_s, settings.train.device) as processes:
        if args.dry_run or args.find_lr:
            return try_out(settings, processes, args.find_lr)
        path, is_old = run_path(args)
        if is_group:
            return group(settings, path, is_old, args.seeds)
        return train(replace(loaded, settings=settings), path, is_old, processes)


def config_path(args: argparse.Namespace) -> Path | None:
    """The settings to start from: those of the run to go on with, or the ones that -c names."""
    if args.resume is None:
        return args.config  # type: ignore[no-any-return]
    if args.config is not None:
        raise UserError(f"--resume {args.resume} has its own settings; leave out -c {args.config}")
    from crossent.experiments.group import Group
    from crossent.training.run_folder import RunFolder

    group, folder = Group(args.resume), RunFolder(args.resume)
    if group.exists:
        return group.config
    folder.check_is_run()
    return folder.config


def run_path(args: argparse.Namespace) -> tuple[Path, bool]:
    """The folder of the run, and whether to go on with what is in it.

    Without a name it is called after the config and the time. torchrun starts its processes anew
    when one of them was killed: they go on where the last checkpoint was made.
    """
    if args.resume:
        return args.resume, True
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        name = f"{args.config.stem if args.config else 'default'}-{datetime.now():%Y%m%d-%H%M%S}"
        return args.out or Path("runs") / name, False
    if args.out is None:
        raise UserError("under torchrun name the folder of the run: --out RUN")
    restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    return args.out, restarted and (args.out / "config.yaml").exists()


def train(loaded: "Loaded", path: Path, is_old: bool, processes: "Processes") -> int:
    """Train one run, then draw its curve and write its report; return the exit status."""
    from crossent.report.curve import draw_curve
    from crossent.report.report import write_report
    from crossent.train_run import Caller, train_run
    from crossent.training.signals import Interrupted

    caller = Caller(f"python train.py --resume {path}")
    outcome = train_run(loaded, path, is_old, caller, processes)
    run, settings = outcome.run, loaded.settings
    if run is None:
        return outcome.status
    if processes.is_first:
        folder = run.folder
        try:
            with caller.stop.raising():
                draw_curve(folder.records(), folder.curve, settings.train.keep)
                write_report(folder, run.trainer.evaluator.device, outcome.data)
        except Interrupted as interrupted:
            print(
                f"{interrupted}: the run is saved; for its page: python -m crossent report {path}"
            )
            processes.wait()
            return interrupted.exit_status
        print(f"see {folder.report}; next: python -m crossent evaluate {path}")
    processes.wait()  # all leave together: a connection torn down early can abort the other end
    return outcome.status


def group(settings: "Settings", path: Path, is_old: bool, num_seeds: int | None) -> int:
    """Train the folds, or the seeds, and draw the curves of all in one picture."""
    from crossent.experiments.group import train_group
    from crossent.report.curve import draw_curves

    status = train_group(settings, path, is_old, num_seeds)
    if status == EXIT_DONE:
        draw_curves(path)
    return status


def try_out(settings: "Settings", processes: "Processes", wants_lr: bool) -> int:
    """Do one step, so that a mistake shows before the long run; or find a learning rate."""
    from crossent.build import build, make_data
    from crossent.training.find_lr import E_of_step, draw_finding, find_lr
    from crossent.training.run_folder import RunFolder

    trainer = build(settings, make_data(settings), RunFolder(Path("unused")), processes).trainer
    if wants_lr:
        finding, path = find_lr(trainer), Path("lr-finder.png")
        text = f"E falls fastest at optim.lr={finding.suggestion:.2g}; see {path}"
        if processes.is_first:
            draw_finding(finding, path)
    else:
        E = E_of_step(trainer, next(trainer.batches.epoch(0)))
        text = f"one step done: E = {E:.4f}; nothing was kept"
    if processes.is_first:
        print(text)
    return EXIT_DONE


if __name__ == "__main__":
    status = run_main(main, sys.argv[1:])
    if "TORCHELASTIC_RUN_ID" in os.environ:
        from crossent.training.distributed import leave_at_once

        leave_at_once(status)
    sys.exit(status)
