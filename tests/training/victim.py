"""Tiny trainings in processes of their own, to be killed.

A server imports torch once and forks: a process a kill, without the seconds of an import each.
"""

import multiprocessing
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
import torch._dynamo  # every optimizer imports it, which takes a second

from crossent.drill import arm
from tests.training.parts import EPOCHS, make_run

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.training.victim"])


def train(path: Path, place: str | None, step: int, every_steps: int | None) -> None:
    """A run of `parts`, begun or resumed, that dies at a place of `crossent.drill`."""
    torch.set_num_threads(1)
    torch.manual_seed(4711)  # another state than the run's: a resume has to bring its own
    if place is not None:
        arm(place, step)
    run = make_run(path, EPOCHS)
    run.checkpoint_every_steps = every_steps
    with run.folder.in_use():
        run.start_or_resume()
        run.fit()


def start(
    path: Path, place: str | None = None, step: int = 0, every_steps: int | None = None
) -> BaseProcess:
    process = CONTEXT.Process(target=train, args=(path, place, step, every_steps))
    process.start()
    return process


def end_of(process: BaseProcess) -> int | None:
    """Its exit code: -9 if it was killed."""
    process.join(timeout=60)
    return process.exitcode
