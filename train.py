"""Train an image classifier: python train.py [-c CONFIG.yaml] [section.key=value ...]

Without arguments it trains configs/default.yaml on pictures that it draws itself.
`--print-config` shows every setting, its value and where that came from.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crossent.cli import run_main
from crossent.errors import EXIT_DONE, EXIT_LOST, EXIT_NOT_FINITE, UserError

if TYPE_CHECKING:  # torch takes seconds to import, --help does not need it
    from crossent.config import Loaded, Settings
    from crossent.training.world import World


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
    from crossent.training.world import joined_world
    from models import MODELS

    config = args.resume / "config.yaml" if args.resume else args.config
    loaded = load_settings(config, args.overrides, model_names=tuple(MODELS))
    if args.print_config:
        print(render(loaded), end="")
        return EXIT_DONE
    with joined_world(loaded.settings.train.timeout_s) as world:
        if args.dry_run:
            return dry_run(loaded.settings, world)
        path, is_old = run_path(args)
        return train(loaded, path, is_old, world)


def run_path(args: argparse.Namespace) -> tuple[Path, bool]:
    """The folder of the run, and whether to go on with what is in it.

    Without a name it is called after the config and the time. torchrun starts its processes anew
    when one of them was killed: they go on where the last checkpoint was made.
    """
    if args.resume:
        return args.resume, True
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        name = f"{Path(args.config or 'default').stem}-{datetime.now():%Y%m%d-%H%M%S}"
        return args.out or Path("runs") / name, False
    if args.out is None:
        raise UserError("under torchrun name the folder of the run: --out RUN")
    restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    return args.out, restarted and (args.out / "config.yaml").exists()


def train(loaded: "Loaded", path: Path, is_old: bool, world: "World") -> int:
    """Train in a new folder, or go on in an old one, and say how it ended."""
    from crossent.config import to_yaml
    from crossent.report.curve import draw_curve
    from crossent.report.report import write_report
    from crossent.training.console import Console
    from crossent.training.loop import NotFinite
    from crossent.training.run_folder import RunFolder
    from crossent.training.signals import Interrupted
    from crossent.training.world import WorkerLost
    from crossent.wiring import build, make_data

    settings = loaded.settings
    folder, console = RunFolder(path), Console(silent=not world.is_first)
    if world.is_first and not is_old:
        folder.create(to_yaml(settings))
        folder.note_origins(loaded.origins)
    with world.first_goes_ahead():
        data = make_data(settings)
    console.data(data)
    run = build(settings, data, folder, world)
    try:
        with world.name_the_lost():
            run.start_or_resume()
            run.fit()
    except Interrupted as interrupted:
        console.line(f"{interrupted}: saved; go on with: python train.py --resume {path}")
        return interrupted.exit_status
    except (NotFinite, WorkerLost) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_NOT_FINITE if isinstance(error, NotFinite) else EXIT_LOST
    if world.is_first:
        draw_curve(folder.records(), folder.curve)
        write_report(folder, run.trainer.evaluator.device, data)
    console.line(f"see {folder.report}; next: python -m crossent evaluate {path}")
    return EXIT_DONE


def dry_run(settings: "Settings", world: "World") -> int:
    """Build everything and do one step, so that a mistake shows before the long run."""
    from crossent.training.run_folder import RunFolder
    from crossent.wiring import build, make_data

    trainer = build(settings, make_data(settings), RunFolder(Path("unused")), world).trainer
    trainer.train_step(next(trainer.batches.epoch(0)))
    E = trainer.progress.train.means()["E"]
    print(f"one step done: E = {E:.4f}; nothing was kept")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(run_main(main, sys.argv[1:]))
