"""The runs of a group, one after the other, and what came of them together."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from crossent.config import Loaded, Settings, load_settings, with_values
from crossent.device import choose_device
from crossent.errors import EXIT_DONE
from crossent.experiments.group import Group
from crossent.train_run import Caller, train_run
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted


def train_group(settings: Settings, path: Path, is_old: bool, num_seeds: int | None) -> int:
    """Train the folds, or the seeds, and print and write what came of them together.

    Returns:
        the exit status.
    """
    group, caller = Group(path), Caller(f"python train.py --resume {path}")
    with RunFolder(path).in_use():
        if is_old:
            group.keep_config(settings)
        with nullcontext() if is_old else group.beginning(settings, num_seeds):
            status = train_runs(group, caller)
        if status != EXIT_DONE:
            return status
        try:
            with caller.stop.install().raising():
                from crossent.experiments.summary import summarise  # measures, draws: takes a while

                print(summarise(group, choose_device(settings.train.device)))
        except Interrupted as interrupted:
            print(f"{interrupted}: all is saved; go on with: {caller.go_on}")
            return interrupted.exit_status
    print(f"see {group.curves} and {group.summary}")
    return EXIT_DONE


def train_runs(group: Group, caller: Caller, after_each: Callable[[], None] = lambda: None) -> int:
    """Train what is not done yet of each run, one after the other.

    Returns:
        the exit status of the first run that did not end well, else that all is done.
    """
    common = load_settings(group.config)
    for name, own in group.variants.items():
        path = group.path / name
        if not caller.silent:
            print(f"== {path}", flush=True)
        origins = common.origins | dict.fromkeys(own, f"{name} of {group.kind}")
        loaded = Loaded(with_values(common.settings, own), origins)
        status = train_run(loaded, path, RunFolder(path).config.exists(), caller).status
        if status != EXIT_DONE:
            return status
        after_each()
    return EXIT_DONE
