"""Test with the user's config that a killed and resumed run gives the same bytes.

One training runs without interruption. A second one is killed at random moments and resumed each
time. Both results are compared.
"""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from crossent.config import load_settings
from crossent.errors import EXIT_DONE, UserError
from crossent.tensor_file import read_tensors
from crossent.training.run_folder import RunFolder

TRAIN = Path(__file__).resolve().parents[1] / "train.py"
POLL_S = 0.01
TIMES = ("images_per_s", "elapsed_s")


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
                time.sleep(POLL_S)  # until it has imported and decoded
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
