"""Train an image classifier: python train.py [-c CONFIG.yaml] [section.key=value ...]

Without arguments, the program trains with configs/default.yaml, on drawings that it generates.
`--print-config` shows every setting, its value and its origin.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crossent.errors import EXIT_DONE, UserError, run_main

if TYPE_CHECKING:  # torch takes seconds to import, --help does not need it
    from crossent.config import Settings
    from crossent.training.distributed import Processes


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python train.py", description=__doc__, formatter_class=raw)
    add = parser.add_argument
    add("-c", "--config", metavar="CONFIG.yaml", type=Path, help="the config file")
    add("overrides", nargs="*", metavar="section.key=value", help="settings to change")
    add("--seeds", metavar="N", type=int, help="train N times, with seed, seed + 1, ...")
    add("--print-config", action="store_true", help="print all settings, then stop")
    add("--dry-run", action="store_true", help="train for one step, keep nothing")
    add("--find-lr", action="store_true", help="try learning rates, draw lr-finder.png")
    add("--preview", action="store_true", help="draw the first batch: preview.png")
    add = parser.add_mutually_exclusive_group().add_argument
    add("--out", metavar="RUN", type=Path, help="folder of the new run")
    add("--resume", metavar="RUN", type=Path, help="continue a run or a group of runs")
    # intermixed, so that a setting may follow an option such as --out RUN
    args, unknown = parser.parse_known_intermixed_args(argv)
    for word in args.overrides:
        if "=" not in word and word.endswith((".yaml", ".yml")):
            raise UserError(f"{word} is not a setting; did you mean -c {word}?")
    if unknown:
        from crossent.config import FIELDS

        key, _, value = unknown[0].lstrip("-").replace("-", "_").partition("=")
        value = value or next(iter(args.overrides), "...")
        name = next((n for n in FIELDS if key in (n, n.rpartition(".")[2])), None)
        hint = f"did you mean {name}={value}?" if name else "see --help"
        raise UserError(f"{unknown[0]} is not an option; {hint}")
    return args


def main(argv: Sequence[str]) -> int:
    args = parse_arguments(argv)
    from crossent.config import load_settings, to_yaml
    from crossent.experiments.group import train_group, wants_group
    from crossent.pretrained import follow_weights
    from crossent.train_run import try_out
    from crossent.training.distributed import join_processes

    loaded = load_settings(config_of(args), args.overrides)
    if args.print_config:
        print(to_yaml(loaded.settings, loaded.origins), end="")
        return EXIT_DONE
    settings = follow_weights(loaded.settings, loaded.kept)
    if args.preview:
        from crossent.report.pictures import write_preview  # imports matplotlib

        num = write_preview(settings, Path("preview.png"))
        print(f"preview.png: {num} pictures of the first batch, as the model sees them")
        return EXIT_DONE
    is_group = wants_group(args.resume, settings, args.seeds)
    with join_processes(settings.train.timeout_s, settings.train.device) as processes:
        if args.dry_run or args.find_lr:
            try_out(settings, processes, args.find_lr)
            return EXIT_DONE
        path, is_resumed = run_path(args)
        if not is_group:
            return train(settings, path, is_resumed, processes)
        status = train_group(settings, path, is_resumed, args.seeds)
        if status == EXIT_DONE:
            from crossent.report.charts import draw_curves  # imports matplotlib

            draw_curves(path)
        return status


def config_of(args: argparse.Namespace) -> "Path | Settings | None":
    """Return the settings of the run to resume, or the path after -c."""
    from crossent.config import saved_settings
    from crossent.experiments.group import Group
    from crossent.training.run_folder import RunFolder

    config: Path | None = args.config
    if args.resume is None:
        return config
    if config is not None:
        raise UserError(f"--resume {args.resume} has its own settings; leave out -c {config}")
    group, run = Group(args.resume), RunFolder(args.resume)
    if not group.runs:
        run.check_is_run()
    return saved_settings(group.config if group.runs else run.config)


def run_path(args: argparse.Namespace) -> tuple[Path, bool]:
    """Return the run folder, and whether to resume the run in it.

    If a process is killed, torchrun restarts all processes; they resume from the last checkpoint.
    """
    path = args.resume or args.out
    if path is None:
        if "TORCHELASTIC_RUN_ID" in os.environ:
            raise UserError("torchrun needs the folder of the run: --out RUN")
        name = args.config.stem if args.config else "default"
        path = Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    return path, bool(args.resume) or (restarted and (path / "config.yaml").exists())


def train(settings: "Settings", path: Path, is_resumed: bool, processes: "Processes") -> int:
    """Train one run, then draw its curve and write its report; return the exit status."""
    from crossent.report.charts import draw_curve
    from crossent.report.report import write_report
    from crossent.train_run import Caller, train_run
    from crossent.training.signals import Interrupted

    caller = Caller(f"python train.py --resume {path}")
    status, run, data = train_run(settings, path, is_resumed, caller, processes)
    if run is None:
        return status
    if processes.is_first:
        try:
            with caller.stop.raising():
                run.console.line(f"writing {run.folder.report}")
                draw_curve(run.folder.records(), run.kept_epoch, run.folder.curve)
                write_report(run.folder, run.trainer.evaluator.device, data)
            print(run.what_next())
        except Interrupted as stop:
            print(f"{stop}: the run is saved; write its report: python -m crossent report {path}")
            status = stop.exit_status
    processes.wait_for_all("finished")  # ending early would abort the other processes
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an import in C would swallow KeyboardInterrupt
    status = run_main(main, sys.argv[1:])
    if "TORCHELASTIC_RUN_ID" in os.environ:
        from crossent.training.distributed import leave_at_once

        leave_at_once(status)
    sys.exit(status)
