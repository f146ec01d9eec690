"""Resume a run: which settings may differ, whether it is finished, and a test with kills."""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from crossent.config import Settings, differences, load_settings, saved_settings
from crossent.errors import EXIT_DONE, UserError
from crossent.model_file import CHECKPOINT, read_tensors
from crossent.training.run_folder import RunFolder

# Settings that do not change the result: the path of the same pictures (their fingerprint is
# checked), more epochs, how often to save, and the machine, which changes only the last bits.
MAY_DIFFER = {
    "data.root", "data.labels", "data.workers", "data.cache_dir",
    "train.epochs", "train.checkpoint_every", "train.device", "train.threads", "train.timeout_s",
}  # fmt: skip
TRAIN = Path(__file__).resolve().parents[1] / "train.py"
TIMES = ("images_per_s", "elapsed_s")


def is_finished(folder: RunFolder, settings: Settings) -> bool:
    """Return whether a run is finished; raise UserError if it cannot go on with these settings.

    A run without a checkpoint accepts any settings.
    """
    if not folder.last.exists():
        return False
    _, header = read_tensors(folder.last, CHECKPOINT)
    old, progress = saved_settings(folder.last, header["settings"]), header["progress"]
    check_same_result(folder.path, old, settings)
    return bool(progress["done"] and progress["epoch"] >= settings.train.epochs)


def check_same_result(what: object, old: Settings, new: Settings) -> None:
    """Raise UserError if settings differ that change the result of the run or group `what`."""
    lines = differences(old, new)  # such as "optim.lr: 0.1 -> 0.2"
    refused = [line for line in lines if line.partition(":")[0] not in MAY_DIFFER]
    before, after = old.train.epochs, new.train.epochs
    if after < before:
        refused.append(f"train.epochs: {before} -> {after} (it may only be raised)")
    if refused:
        raise UserError(
            f"{what} cannot be used with settings that change its result: {'; '.join(refused)}. "
            "Leave them out, or start a new run with --out"
        )


def verify_resume(config: Path | None, overrides: Sequence[str], num_kills: int) -> int:
    """Train twice, once with kills at random moments; return 0 (PASS) or 1 (a difference)."""
    settings = load_settings(config, overrides).settings
    if num_kills < 1:
        raise UserError(f"--kills {num_kills}: expected 1 or more")
    if settings.data.folds is not None and settings.data.fold is None:
        raise UserError("verify-resume takes one run: choose a fold, such as data.fold=1")
    arguments = [*(["-c", str(config)] if config else []), *overrides]
    with tempfile.TemporaryDirectory(prefix="crossent-verify-") as temporary:
        straight, killed = (RunFolder(Path(temporary, name)) for name in ("straight", "killed"))
        train(arguments, straight)
        training_s = straight.last.stat().st_mtime - began(straight)
        print(f"uninterrupted: {training_s:.1f} s", flush=True)
        for number in range(1, num_kills + 1):
            delay_s = random.uniform(0, training_s / num_kills)  # the sum is below training_s
            train(arguments, killed, delay_s)
            epochs = sum(record["kind"] == "epoch" for record in killed.records())
            what = f"{delay_s:.2f} s after the start; {epochs} epochs are done"
            print(f"kill {number} of {num_kills}: {what}", flush=True)
        train(arguments, killed)
        difference = first_difference(straight, killed)
    print(f"FAIL: {difference}" if difference else "PASS: the same tensors, the same lines")
    return 1 if difference else EXIT_DONE


def train(arguments: Sequence[str], folder: RunFolder, kill_after_s: float | None = None) -> None:
    """Start or resume a training; wait for its end, or kill it some seconds after its beginning."""
    begun = began(folder)
    arguments = ["--resume"] if folder.config.exists() else [*arguments, "--out"]
    with subprocess.Popen(
        [sys.executable, TRAIN, *arguments, folder.path],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            while kill_after_s and process.poll() is None and began(folder) == begun:
                time.sleep(0.01)  # until it has imported and decoded
            _, error = process.communicate(timeout=kill_after_s)
        except subprocess.TimeoutExpired:
            return
        finally:
            process.kill()  # also if this process is interrupted
    if process.returncode != EXIT_DONE:
        last = error.strip().removeprefix("error: ").splitlines() or ["no message"]
        raise UserError(f"the training ended with status {process.returncode}: {last[-1]}")


def began(folder: RunFolder) -> float:
    """Return when the last training in the folder began and wrote environment.json; 0 if never."""
    return folder.environment.stat().st_mtime if folder.environment.exists() else 0.0


def first_difference(first: RunFolder, second: RunFolder) -> str | None:
    """Return which tensor or line differs; None if the runs ended in the same bytes."""
    for path, other in ((first.last, second.last), (first.model, second.model)):
        expected, found = read_tensors(path)[0], read_tensors(other)[0]
        for key in expected | found:
            if key not in expected or key not in found or not expected[key].equal(found[key]):
                return f"{path.name}: {key} differs"
    without_times = (
        [{k: v for k, v in line.items() if k not in TIMES} for line in run.records()]
        for run in (first, second)
    )
    for number, (line, other_line) in enumerate(zip_longest(*without_times), start=1):
        if line != other_line:
            return f"metrics.jsonl: line {number} differs"
    return None
