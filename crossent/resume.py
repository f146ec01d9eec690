"""Rules for resuming a run: which settings may differ, and whether it is finished."""

from pathlib import Path

from crossent.config import Settings, differences, saved_settings
from crossent.errors import UserError
from crossent.tensor_file import read_tensors
from crossent.training.checkpoint import KIND
from crossent.training.run_folder import RunFolder

# Settings that do not change the result: the path of the same pictures (their fingerprint is
# checked), how often to save, and the machine, which changes only the last bits.
MAY_DIFFER = {
    "data.root", "data.labels", "data.workers", "data.cache_dir",
    "train.checkpoint_every", "train.device", "train.threads", "train.timeout_s",
}  # fmt: skip


def is_finished(folder: RunFolder, settings: Settings) -> bool:
    """Return whether a run is finished; raise UserError if it cannot go on with these settings.

    A run without a checkpoint accepts any settings.
    """
    if not folder.last.exists():
        return False
    _, header = read_tensors(folder.last, KIND)
    old = saved_settings(folder.last, header["settings"])
    check_same_result(folder.path, old, settings)
    progress = header["progress"]
    return bool(progress["done"] and progress["epoch"] >= settings.train.epochs)


def check_same_result(path: Path, old: Settings, new: Settings) -> None:
    """Raise UserError if settings differ that change the result of the run or group in `path`."""
    refused = refused_differences(old, new)
    if refused:
        raise UserError(
            f"{path} cannot continue with settings that change its result: "
            f"{'; '.join(refused)}. Start a new one with --out"
        )


def refused_differences(old: Settings, new: Settings) -> list[str]:
    """Return the differences that change the result of a run: "optim.lr: 0.1 -> 0.2"."""
    refused = []
    for line in differences(old, new):
        name = line.partition(":")[0]
        if name == "train.epochs" and new.train.epochs < old.train.epochs:
            refused.append(f"{line} (it may only be raised)")
        elif name not in {"train.epochs", *MAY_DIFFER}:
            refused.append(line)
    return refused
