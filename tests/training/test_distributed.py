"""Several processes compute the same numbers as one; a lost process is named."""

import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from crossent.build import make_batches, make_data
from crossent.config import load_settings
from crossent.errors import EXIT_LOST, UserError
from crossent.train_run import check_same_pictures
from crossent.training.distributed import Processes, join_processes
from crossent.training.run_folder import RunFolder
from crossent.verify_resume import first_difference
from data.images import Data, ImageSet
from tests.forked import CONTEXT, ROOT, SMOKE, Command, end_of, environments
from tests.training.ranks import CASES, batch_norm, compute_all, first_epoch
from train import run_path

TWO_AGREE = (*SMOKE, "train.mixup=0.2", "train.epochs=4", "train.batch_size=6")
KINDS = ["start", *["epoch"] * 4, "end"]


def start(folder, *words, size=2):
    """Start train.py as torchrun would, without the seconds of its imports."""
    return [Command(folder, *words, **environment) for environment in environments(size)]


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory):
    path = tmp_path_factory.mktemp("ranks") / "found.json"
    ranks = [CONTEXT.Process(target=compute_all, args=(e, path)) for e in environments(2)]
    for rank in ranks:
        rank.start()
    assert [end_of(rank, timeout_s=120) for rank in ranks] == [0, 0]
    return json.loads(path.read_text())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_two_processes_compute_what_one_does(of_two_processes, case, dtype):
    alone = first_epoch(case, dtype, Processes())
    together = of_two_processes[f"{case} {dtype}"]
    tolerance = {torch.float64: 1e-6, torch.float32: 1e-4}[dtype]
    assert together["count"] == alone["count"] == 45
    np.testing.assert_allclose(together["losses"], alone["losses"], rtol=tolerance)
    np.testing.assert_allclose(together["samples"], alone["samples"], rtol=tolerance, atol=1e-5)
    assert together["train"] == pytest.approx(alone["train"], rel=tolerance)
    assert together["val"] == pytest.approx(alone["val"], rel=tolerance)
    if dtype == torch.float64:  # atol, because pictures are augmented in float32
        for name, values in alone["weights"].items():
            np.testing.assert_allclose(
                together["weights"][name], values, rtol=tolerance, atol=1e-7, err_msg=name
            )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_a_layer_on_two_processes_is_torchs_own_on_the_whole_batch(of_two_processes, dtype):
    """The tolerance of bfloat16: a gradient is rounded three times, and numbers reach 4.

    The running statistics of bfloat16 are float32.
    """
    of_statistics = 1e-12 if dtype == torch.float64 else 2e-6
    of_gradients = 2**-6 if dtype == torch.bfloat16 else of_statistics
    alone, together = batch_norm(dtype, Processes()), of_two_processes[f"batch norm {dtype}"]
    for name, values in alone.items():
        tolerance = of_statistics if name == "running statistics" else of_gradients
        np.testing.assert_allclose(
            together[name], values, rtol=tolerance, atol=4 * tolerance, err_msg=name
        )


def test_each_process_gets_the_checkpoint_and_explains_what_is_not_finite(of_two_processes):
    """A checkpoint reaches a process that cannot see the disk of rank 0."""
    assert of_two_processes["resumed"] == {"same": 2, "files": 1, "steps": 12}
    assert of_two_processes["explained"] == 2


def test_processes_with_different_pictures_are_refused(monkeypatch):
    monkeypatch.setattr(Processes, "broadcast", lambda self, content: "of rank 0")
    monkeypatch.setattr(Processes, "add_numbers", lambda self, numbers: numbers)
    nothing = ImageSet(np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, np.int64), [])
    data = Data(nothing, nothing, ["dog"], "of rank 1")
    with pytest.raises(UserError, match="different pictures"):
        check_same_pictures(data, Processes(1, 2))
    check_same_pictures(replace(data, fingerprint="of rank 0"), Processes(1, 2))


def test_mistakes_in_the_number_of_processes_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="process 3 of this machine has no GPU: it has 2"):
        join_processes(timeout_s=1).__enter__()
    settings = load_settings(None, ("train.batch_size=2", "data.num_images=60")).settings
    data = make_data(settings)
    with pytest.raises(UserError, match="batches of 2; expected at least one sample for each of 3"):
        make_batches(settings, data, torch.device("cpu"), Processes(rank=1, size=3))
    make_batches(settings, data, torch.device("cpu"), Processes(rank=1, size=2))


def test_torchrun_needs_a_name_for_the_folder(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(UserError, match="torchrun needs the folder of the run: --out RUN"):
        run_path(Namespace(resume=None, out=None))


def wait_for_epoch(run, epoch, is_alive):
    """Wait until the run has finished `epoch` epochs."""
    deadline = time.monotonic() + 120
    while sum(record["kind"] == "epoch" for record in run.records()) < epoch:
        assert time.monotonic() < deadline and is_alive()
        time.sleep(0.02)


@pytest.mark.slow
def test_a_worker_that_hangs_is_named(tmp_path):
    run = RunFolder(tmp_path / "run")
    ranks = start(tmp_path, *TWO_AGREE, "train.timeout_s=4", "--out", run.path, size=3)
    wait_for_epoch(run, 1, ranks[0].process.is_alive)
    os.kill(ranks[1].process.pid, signal.SIGSTOP)
    try:
        assert end_of(ranks[0].process) == EXIT_LOST
    finally:
        for rank in ranks:
            rank.process.kill()
    err = ranks[0].files[1].read_text()
    assert "rank 0 waited at step" in err and "rank 1 (last seen at step" in err, err


@pytest.mark.slow
def test_a_stop_on_two_processes_goes_on_with_one(tmp_path):
    run = RunFolder(tmp_path / "run")
    ranks = start(tmp_path, *TWO_AGREE, "--out", run.path)
    wait_for_epoch(run, 1, ranks[0].process.is_alive)
    os.kill(ranks[1].process.pid, signal.SIGTERM)  # one gets the signal, both stop
    out, _ = ranks[0].end(143)
    ranks[1].end(143)
    assert "last.safetensors; resume with: python train.py --resume" in out
    Command(tmp_path, "--resume", run.path).end(status=0)
    assert [r["kind"] for r in run.records()] == KINDS


def worker_of(pid):
    """Return the process id of rank 1 among the processes of torchrun."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"\0RANK=1\0" in Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError("rank 1 is not there")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_killed_worker_is_started_again_and_the_run_ends_in_the_same_bytes(tmp_path):
    straight, run = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "run")
    words = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        "--max-restarts=1", "train.py", *TWO_AGREE, "--out", str(run.path),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCHELASTIC_ERROR_FILE": os.devnull}
    with (tmp_path / "output").open("w") as output:
        torchrun = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=output, stderr=output)
    ranks = start(tmp_path, *TWO_AGREE, "--out", straight.path)  # while the other one imports
    wait_for_epoch(run, 2, lambda: torchrun.poll() is None)
    os.kill(worker_of(torchrun.pid), signal.SIGKILL)
    for rank in ranks:
        rank.end(0)
    assert torchrun.wait(timeout=240) == 0, (tmp_path / "output").read_text()
    assert first_difference(straight, run) is None
    assert [r["kind"] for r in run.records()] == KINDS
