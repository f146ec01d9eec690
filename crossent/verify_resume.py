"""The promise that a killed run ends in the same bytes, put to the test on the user's own config.

One training goes straight through. A second one is killed from outside at random moments, and
resumed each time. At the end both are compared.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crossent.config import Settings
from crossent.errors import EXIT_DONE, UserError
from crossent.tensor_file import read_tensors
from crossent.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[1]
EXIT_DIFFERENT = 1
POLL_S = 0.01
TIMES = ("images_per_s", "elapsed_s", "time_s")


def verify_resume(settings: Settings, arguments: Sequence[str], num_kills: int, seed: int) -> int:
    """Train twice, once with kills; print what happens, then PASS or the first difference.

    Args:
        settings: that the arguments come to.
        arguments: of train.py: the config and what is to differ from it.
        num_kills: of the second training.
        seed: of the moments of the kills.

    Returns:
        the exit status: 0 for PASS, 1 for a difference.

    Raises:
        UserError: the training does not work, or nobody could repeat it.
    """
    if settings.train.minutes is not None:
        raise UserError("train.minutes depends on the clock: set train.minutes=null and the epochs")
    if settings.data.folds is not None and settings.data.fold is None:
        raise UserError("verify-resume takes one run: choose a fold, such as data.fold=1")
    with tempfile.TemporaryDirectory(prefix="crossent-verify-") as temporary:
        straight = RunFolder(Path(temporary, "straight"))
        start = time.perf_counter()
        train(arguments, straight)
        num_steps = straight.records()[-2]["step"]  # the last line is the end
        print(f"straight: {num_steps} steps in {time.perf_counter() - start:.1f} s", flush=True)
        training_s = straight.last.stat().st_mtime - straight.environment.stat().st_mtime
        rng = random.Random(seed)
        delays = [rng.uniform(0, training_s) for _ in range(num_kills)]
        killed = RunFolder(Path(temporary, "killed"))
        difference = train_with_kills(arguments, killed, straight, delays)
    print(f"FAIL: {difference}" if difference else "PASS: the same tensors, the same lines")
    return EXIT_DIFFERENT if difference else EXIT_DONE


def train_with_kills(
    arguments: Sequence[str], folder: RunFolder, straight: RunFolder, delays: Sequence[float]
) -> str | None:
    """Kill and resume a training; return how it differs from the straight one, if it does.

    If it ends before its time to be killed, it is compared, and the next kill meets a new one.
    """
    for number, delay in enumerate(delays, start=1):
        kill = f"kill {number} of {len(delays)}"
        if train(arguments, folder, delay):
            epochs = sum(record["kind"] == "epoch" for record in folder.records())
            print(f"{kill}: {delay:.2f} s after it began, {epochs} epochs in the log", flush=True)
            continue
        print(f"{kill}: the training was over; once more", flush=True)
        difference = first_difference(straight, folder)
        if difference:
            return difference
        shutil.rmtree(folder.path)
    train(arguments, folder)
    return first_difference(straight, folder)


def train(arguments: Sequence[str], folder: RunFolder, delay: float | None = None) -> bool:
    """Begin a training, or go on with it, and wait for its end; return whether it was killed.

    Args:
        delay: seconds after it has begun, or gone on, at which it is killed.

    Raises:
        UserError: it ended otherwise; with its own last words.
    """
    is_old, path = folder.config.exists(), str(folder.path)
    words = ["--resume", path] if is_old else [*arguments, "--out", path]
    old = written(folder)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if delay is not None:
            while process.poll() is None and written(folder) == old:  # importing, decoding
                time.sleep(POLL_S)
            deadline = time.monotonic() + delay
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(POLL_S)
            process.kill()
        _, said = process.communicate()
    finally:
        process.kill()  # if this process is interrupted, nobody else ends it
    was_killed = delay is not None and process.returncode == -signal.SIGKILL
    if process.returncode != EXIT_DONE and not was_killed:
        last = said.strip().removeprefix("error: ").splitlines() or ["no word"]
        raise UserError(f"the training ended with status {process.returncode}: {last[-1]}")
    return was_killed


def written(folder: RunFolder) -> int | None:
    """When environment.json was written, which every training does when it begins or goes on."""
    return folder.environment.stat().st_mtime_ns if folder.environment.exists() else None


def first_difference(first: RunFolder, second: RunFolder) -> str | None:
    """Say which tensor or line differs; None if the runs ended in the same bytes."""
    for name in ("last", "model"):
        expected, _ = read_tensors(getattr(first, name))
        found, _ = read_tensors(getattr(second, name))
        if expected.keys() != found.keys():
            return f"{name}.safetensors: other tensors: {sorted(expected.keys() ^ found.keys())}"
        for key, tensor in expected.items():
            if not tensor.equal(found[key]):
                return f"{name}.safetensors: {key} differs"
    lines, others = without_times(first.records()), without_times(second.records())
    if len(lines) != len(others):
        return f"metrics.jsonl: {len(others)} lines instead of {len(lines)}"
    same = [line == other for line, other in zip(lines, others, strict=True)]
    return None if all(same) else f"metrics.jsonl: line {same.index(False) + 1} differs"


def without_times(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what a clock has said."""
    return [{k: v for k, v in line.items() if k not in TIMES} for line in records]
