"""Rules for resuming a run: which settings may differ, and whether it is finished."""

from crossent.config import Settings, differences, settings_from_dict
from crossent.errors import UserError
from crossent.training.checkpoint import read_checkpoint
from crossent.training.run_folder import RunFolder

# Settings that do not change the result: the path of the same pictures (their fingerprint is
# checked), how often to save, and the machine, which changes only the last bits.
MAY_DIFFER = {
    "data.root", "data.labels", "data.workers", "data.cache_dir",
    "train.checkpoint_every", "train.device", "train.threads", "train.timeout_s",
}  # fmt: skip


def is_finished(folder: RunFolder, settings: Settings) -> bool:
    """Check the settings for resuming a run; return whether the run is finished.

    A run without a checkpoint accepts any settings.

    Raises:
        UserError: the checkpoint is damaged; or settings differ that change the result.
    """
    if not folder.last.exists():
        return False
    _, header = read_checkpoint(folder.last)
    old = settings_from_dict(header["settings"], folder.last)
    refused = refused_differences(old, settings)
    if refused:
        raise UserError(
            f"{folder.path} cannot continue with settings that change its result: "
            f"{'; '.join(refused)}. Start a new run with --out"
        )
    progress = header["progress"]
    return bool(progress["done"] and progress["epoch"] >= settings.train.epochs)


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
