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
from crossent.errors import EXIT_DONE, EXIT_NOT_FINITE

if TYPE_CHECKING:  # torch takes seconds to import, --help does not need it
    from crossent.config import Settings


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python train.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", metavar="CONFIG.yaml", help="settings to start from")
    parser.add_argument(
        "overrides", nargs="*", metavar="section.key=value", help="settings that differ from them"
    )
    parser.add_argument("--out", metavar="RUN", type=Path, help="folder of the run to make")
    parser.add_argument("--resume", metavar="RUN", type=Path, help="go on with a stopped run")
    parser.add_argument("--print-config", action="store_true", help="show the settings and stop")
    parser.add_argument(
        "--dry-run", action="store_true", help="build everything, do one step, keep nothing"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    args = parse_arguments(arguments)
    from crossent.config import load_settings, render
    from models import MODELS

    config = args.resume / "config.yaml" if args.resume else args.config
    loaded = load_settings(config, args.overrides, model_names=tuple(MODELS))
    if args.print_config:
        print(render(loaded), end="")
        return EXIT_DONE
    if args.dry_run:
        return dry_run(loaded.settings, run_path(args))
    return train(loaded.settings, run_path(args), resume=args.resume is not None)


def run_path(args: argparse.Namespace) -> Path:
    """The folder named on the command line, or a new one called after the config and the time."""
    name = Path(args.config or "default").stem
    path: Path = args.resume or args.out or Path(f"runs/{name}-{datetime.now():%Y%m%d-%H%M%S}")
    return path


def train(settings: "Settings", path: Path, resume: bool) -> int:
    """Train in a new folder, or go on in an old one, and say how it ended."""
    from crossent.config import to_yaml
    from crossent.report.curve import draw_curve
    from crossent.training.console import describe_data
    from crossent.training.loop import NotFinite
    from crossent.training.run_folder import RunFolder
    from crossent.training.signals import Interrupted
    from crossent.wiring import build, make_data

    folder = RunFolder(path)
    if not resume:
        folder.create(to_yaml(settings))
    data = make_data(settings)
    print(describe_data(data), flush=True)
    folder.list_unusable(data.unusable)
    run = build(settings, data, folder)
    try:
        run.start_or_resume()
        run.fit()
    except Interrupted as interrupted:
        print(f"{interrupted}: saved; go on with: python train.py --resume {path}")
        return interrupted.exit_status
    except NotFinite as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_NOT_FINITE
    draw_curve(folder.records(), folder.curve)
    print(f"see {folder.curve}; next: python -m crossent evaluate {path}")
    return EXIT_DONE


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
