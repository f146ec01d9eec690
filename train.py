"""Train an image classifier: python train.py [-c CONFIG.yaml] [section.key=value ...]

Without arguments it trains configs/default.yaml on pictures that it draws itself.
`--print-config` shows every setting, its value and where that came from.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crossent.cli import run_main
from crossent.errors import EXIT_DONE, EXIT_NOT_FINITE, UserError
from crossent.training.signals import leave_on_signals

if TYPE_CHECKING:  # torch takes seconds to import, --help does not need it
    from crossent.config import Settings
    from crossent.training.fit import Run
    from crossent.training.run_folder import RunFolder
    from crossent.training.signals import StopRequest


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python train.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-c", "--config", metavar="CONFIG.yaml", type=Path, help="settings to start from"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="section.key=value", help="settings that differ from them"
    )
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument("--out", metavar="RUN", type=Path, help="folder of the run to make")
    folder.add_argument("--resume", metavar="RUN", type=Path, help="go on with a stopped run")
    folder.add_argument(
        "--replay", metavar="RUN/crash", type=Path, help="do the step again that was not finite"
    )
    parser.add_argument("--print-config", action="store_true", help="show the settings and stop")
    parser.add_argument(
        "--dry-run", action="store_true", help="build everything, do one step, keep nothing"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    args = parse_arguments(arguments)
    leave_on_signals()  # what follows takes seconds, and has nothing to tidy up
    from crossent.config import load_settings, render
    from models import MODELS

    if args.replay:
        from crossent.replay import replay

        return replay(args.replay, args.overrides)
    loaded = load_settings(config_path(args), args.overrides, model_names=tuple(MODELS))
    if args.print_config:
        print(render(loaded), end="")
        return EXIT_DONE
    if args.dry_run:
        return dry_run(loaded.settings, run_path(args))
    return train(loaded.settings, run_path(args), resume=args.resume is not None)


def config_path(args: argparse.Namespace) -> Path | None:
    """The settings to start from: those of the run to go on with, or the ones that -c names."""
    if args.resume is None:
        return args.config  # type: ignore[no-any-return]
    if args.config is not None:
        raise UserError(f"--resume {args.resume} has its own settings; leave out -c {args.config}")
    from crossent.training.run_folder import RunFolder

    folder = RunFolder(args.resume)
    folder.check_is_run()
    return folder.config


def run_path(args: argparse.Namespace) -> Path:
    """The folder named on the command line, or a new one called after the config and the time."""
    name = args.config.stem if args.config else "default"
    path: Path = args.resume or args.out or Path(f"runs/{name}-{datetime.now():%Y%m%d-%H%M%S}")
    return path


def train(settings: "Settings", path: Path, resume: bool) -> int:
    """Train in a new folder, or go on in an old one, and say how it ended."""
    from crossent.config import to_yaml
    from crossent.report.curve import draw_curve
    from crossent.resume import is_finished
    from crossent.training.loop import NotFinite
    from crossent.training.run_folder import RunFolder
    from crossent.training.signals import Interrupted, StopRequest

    folder, stop = RunFolder(path), StopRequest()
    with folder.in_use():
        if not resume:
            folder.create(to_yaml(settings))
        elif is_finished(folder, settings):
            print(f"{path} is finished: {settings.train.epochs} epochs are done; nothing to do")
            return EXIT_DONE
        try:
            run = begin(settings, folder, stop.install())
            folder.keep_config(to_yaml(settings))
            run.fit()
        except Interrupted as interrupted:
            print(f"{interrupted}: {folder.saved()}; go on with: python train.py --resume {path}")
            return interrupted.exit_status
        except NotFinite as error:
            print(f"error: {error}", file=sys.stderr)
            return EXIT_NOT_FINITE
        draw_curve(folder.records(), folder.curve)
    print(f"see {folder.curve}; next: python -m crossent evaluate {path}")
    return EXIT_DONE


def begin(settings: "Settings", folder: "RunFolder", stop: "StopRequest") -> "Run":
    """Everything up to the first step, with the data and the state that it goes on from.

    Raises:
        Interrupted: a signal came; nothing is lost by that.
    """
    from crossent.training.console import describe_data
    from crossent.wiring import build, make_data

    with stop.raising():
        data = make_data(settings)
        print(describe_data(data), flush=True)
        folder.list_unusable(data.unusable)
        run = build(settings, data, folder, stop)
        run.start_or_resume()
    return run


def dry_run(settings: "Settings", path: Path) -> int:
    """Build everything and do one step, so that a mistake shows before the long run."""
    from crossent.training.run_folder import RunFolder
    from crossent.wiring import build, make_data

    trainer = build(settings, make_data(settings), RunFolder(path)).trainer
    trainer.train_step(next(trainer.batches.epoch(0)))
    print(f"one step done: E = {trainer.progress.train.means()['E']:.4f}; nothing was kept")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
