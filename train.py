"""Train an image classifier; `python train.py --help` lists the options."""

import os
import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crossent.__main__ import call
from crossent.errors import EXIT_DONE, UserError, run_main

if TYPE_CHECKING:  # torch takes seconds to import, --help does not need it
    from crossent.config import Settings
    from crossent.training.distributed import Processes


def main(argv: Sequence[str]) -> int:
    return call("python train.py", train, argv)


def train(
    overrides: list[str], *, config: Path | None, seeds: int | None, print_config: bool,
    dry_run: bool, find_lr: bool, preview: bool, out: Path | None, resume: Path | None,
) -> int:  # fmt: skip
    """Train an image classifier: python train.py [-c CONFIG.yaml] [section.key=value ...]

    Without arguments, the program trains with configs/default.yaml, on drawings that it generates.
    `--print-config` shows every setting, its value and its origin.
    """
    from crossent.config import load_settings, to_yaml
    from crossent.experiments.group import train_group, wants_group
    from crossent.pretrained import follow_weights
    from crossent.train_run import try_out
    from crossent.training.distributed import join_processes

    if resume and (config or out):
        wrong = f"-c {config}" if config else f"--out {out}"
        raise UserError(f"--resume {resume} has its own settings and folder; leave out {wrong}")
    loaded = load_settings(settings_of(resume) if resume else config, overrides)
    if print_config:
        print(to_yaml(loaded.settings, loaded.origins), end="")
        return EXIT_DONE
    settings = follow_weights(loaded.settings, loaded.kept)
    if preview:
        from crossent.report.pictures import write_preview  # imports matplotlib

        num = write_preview(settings, Path("preview.png"))
        print(f"preview.png: {num} pictures of the first batch, as the model sees them")
        return EXIT_DONE
    is_group = wants_group(resume, settings, seeds)
    with join_processes(settings.train.timeout_s, settings.train.device) as processes:
        if dry_run or find_lr:
            try_out(settings, processes, find_lr)
            return EXIT_DONE
        path, is_resumed = run_path(config, out, resume)
        if not is_group:
            return train_one(settings, path, is_resumed, processes)
        status = train_group(settings, path, is_resumed, seeds)
        if status == EXIT_DONE:
            from crossent.report.charts import draw_curves  # imports matplotlib

            draw_curves(path)
        return status


def settings_of(path: Path) -> "Settings":
    """Return the settings of the run or group of runs to resume."""
    from crossent.config import saved_settings
    from crossent.experiments.group import Group
    from crossent.training.run_folder import RunFolder

    group, run = Group(path), RunFolder(path)
    if not group.runs:
        run.check_is_run()
    return saved_settings(group.config if group.runs else run.config)


def run_path(config: Path | None, out: Path | None, resume: Path | None) -> tuple[Path, bool]:
    """Return the run folder, and whether to resume the run in it.

    If a process is killed, torchrun restarts all processes; they resume from the last checkpoint.
    """
    path = resume or out
    if path is None:
        if "TORCHELASTIC_RUN_ID" in os.environ:
            raise UserError("torchrun needs the folder of the run: --out RUN")
        name = config.stem if config else "default"
        path = Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    return path, bool(resume) or (restarted and (path / "config.yaml").exists())


def train_one(settings: "Settings", path: Path, is_resumed: bool, processes: "Processes") -> int:
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
