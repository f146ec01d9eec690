"""The promise that a killed run ends in the same bytes, put to the test on the user's own config.

One training goes straight through. A second one is killed again and again, at random steps and
places, and resumed each time. Then both are compared.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from crossent.drill import PLACES
from crossent.errors import EXIT_DONE, UserError
from crossent.same_run import first_difference
from crossent.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[1]
EXIT_DIFFERENT = 1
KILLED = -getattr(signal, "SIGKILL", signal.SIGTERM)


def verify_resume(arguments: Sequence[str], num_kills: int, seed: int) -> int:
    """Train twice, once with kills, print what happens and PASS or the first difference.

    Args:
        arguments: of train.py: the config and what is to differ from it.
        num_kills: of the second training.
        seed: of the steps and places of the kills.

    Returns:
        the exit status: 0 for PASS, 1 for a difference.

    Raises:
        UserError: the training itself does not work.
    """
    with tempfile.TemporaryDirectory(prefix="crossent-verify-") as temporary:
        straight, killed = (
            RunFolder(Path(temporary, "straight")),
            RunFolder(Path(temporary, "killed")),
        )
        num_steps = train_straight(arguments, straight)
        kills = moments(num_steps, num_kills, seed)
        difference = train_with_kills(arguments, killed, straight, kills)
    print(f"FAIL: {difference}" if difference else "PASS: the same tensors, the same lines")
    return EXIT_DIFFERENT if difference else EXIT_DONE


def moments(num_steps: int, num_kills: int, seed: int) -> list[tuple[int, str]]:
    """(step, place) of each kill, the steps rising; the first kills come to every place in turn."""
    rng = random.Random(seed)
    steps = sorted(rng.randrange(num_steps) for _ in range(num_kills))
    places = rng.sample(list(PLACES), len(PLACES))
    return [(step, places[number % len(places)]) for number, step in enumerate(steps)]


def train_straight(arguments: Sequence[str], folder: RunFolder) -> int:
    """The training that nobody disturbs; the number of its steps."""
    start = time.perf_counter()
    process = call(["train.py", *arguments, "--out", str(folder.path)])
    check(process, expected=(0,))
    num_steps: int = folder.records()[-2]["step"]  # the last line is the end
    print(f"straight: {num_steps} steps in {time.perf_counter() - start:.1f} s", flush=True)
    return num_steps


def train_with_kills(
    arguments: Sequence[str],
    folder: RunFolder,
    straight: RunFolder,
    kills: Sequence[tuple[int, str]],
) -> str | None:
    """The training that is killed, and resumed each time; how it differs at the end, if it does.

    If it ends before a kill finds its place, it is compared, and the next kill meets a new one.
    """
    fresh = [*arguments, "--out", str(folder.path)]
    how = fresh
    for number, (step, place) in enumerate(kills, start=1):
        process = call(["-m", "crossent.drill", place, str(step), *how])
        check(process, expected=(KILLED, 0))
        if process.returncode != 0:
            print(f"kill {number} of {len(kills)}: {place}, from step {step} on", flush=True)
            how = ["--resume", str(folder.path)]
            continue
        print(f"kill {number} of {len(kills)}: the training was over; once more", flush=True)
        difference = first_difference(straight, folder)
        if difference:
            return difference
        shutil.rmtree(folder.path)
        how = fresh
    check(call(["train.py", *how]), expected=(0,))
    return first_difference(straight, folder)


def call(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Python on this repository, from wherever the user stands; it is ended if we are."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    words = [str(ROOT / words[0]) if words[0] == "train.py" else words[0], *words[1:]]
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def check(process: "subprocess.CompletedProcess[str]", expected: Sequence[int]) -> None:
    """Raise UserError with the training's own last word if it ended otherwise."""
    if process.returncode not in expected:
        said = process.stderr.strip().removeprefix("error: ").splitlines() or ["no word"]
        raise UserError(f"the training ended with status {process.returncode}: {said[-1]}")
