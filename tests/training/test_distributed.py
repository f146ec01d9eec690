"""Several processes compute the same numbers as one; a lost process is named."""

import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import replace

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
from tests.forked import CONTEXT, ROOT, SMOKE, Command
from tests.training.ranks import CASES, batch_norm, compute_all, environments, first_epoch
from train import run_path

TWO_AGREE = (*SMOKE, "train.epochs=4", "train.batch_size=6")


def start(folder, *words, **more):
    """Start train.py twice as torchrun would, without the seconds of its imports."""
    return [Command(folder, *words, **environment | more) for environment in environments(2)]


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory):
    path = tmp_path_factory.mktemp("ranks") / "found.json"
    ranks = [CONTEXT.Process(target=compute_all, args=(e, path)) for e in environments(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(timeout=120)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    return json.loads(path.read_text())


@pytest.mark.parametrize("case", CASES)
def test_two_processes_compute_what_one_does(of_two_processes, case):
    for name, values in first_epoch(case, Processes()).items():  # pictures are float32
        np.testing.assert_allclose(
            of_two_processes[case][name], values, rtol=1e-6, atol=1e-7, err_msg=name
        )


def test_a_layer_on_two_processes_is_torchs_own_on_the_whole_batch(of_two_processes):
    """A gradient in bfloat16 is rounded three times, and numbers reach 4."""
    for name, values in batch_norm(Processes()).items():
        tolerance = 2e-6 if name == "running statistics" else 2**-6
        np.testing.assert_allclose(
            of_two_processes["batch norm"][name],
            values, rtol=tolerance, atol=4 * tolerance, err_msg=name,
        )  # fmt: skip


def test_each_process_gets_the_checkpoint_and_explains_what_is_not_finite(of_two_processes):
    """A checkpoint reaches a process that cannot see the disk of rank 0."""
    assert of_two_processes["resumed"] == [2, 1, 12]
    assert of_two_processes["explained"] == 2


def test_processes_with_different_pictures_are_refused(monkeypatch):
    monkeypatch.setattr(Processes, "broadcast", lambda self, content: "of rank 0")
    monkeypatch.setattr(Processes, "add_numbers", lambda self, numbers: numbers)
    nothing = ImageSet(np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, np.int64), [])
    data = Data(nothing, nothing, ["dog"], "of rank 1")
    with pytest.raises(UserError, match="different pictures"):
        check_same_pictures(data, Processes(1, 2))
    check_same_pictures(replace(data, fingerprint="of rank 0"), Processes(1, 2))


def test_mistakes_in_the_start_of_processes_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="process 3 of this machine has no GPU: it has 2"):
        join_processes(timeout_s=1).__enter__()
    settings = load_settings(None, ("train.batch_size=2", "data.num_images=15")).settings
    data = make_data(settings)
    with pytest.raises(UserError, match="batches of 2; expected at least one sample for each of 3"):
        make_batches(settings, data, torch.device("cpu"), Processes(rank=1, size=3))
    make_batches(settings, data, torch.device("cpu"), Processes(rank=1, size=2))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(UserError, match="torchrun needs the folder of the run: --out RUN"):
        run_path(Namespace(resume=None, out=None))


def wait_for_epoch(run, epoch, is_alive):
    """Wait until the run has finished `epoch` epochs."""
    deadline = time.monotonic() + 120
    while sum(record["kind"] == "epoch" for record in run.records()) < epoch:
        assert time.monotonic() < deadline and is_alive()
        time.sleep(0.02)


def test_a_process_that_hangs_is_named_and_a_restart_ends_in_the_same_bytes(tmp_path):
    """torchrun restarts all processes; its store still has the addresses of the old ones."""
    straight, run = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "run")
    store = torch.distributed.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    words = (*TWO_AGREE, "train.timeout_s=4", "--out", run.path)
    torchrun = {"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    torchrun["MASTER_PORT"] = str(store.port)
    ranks = start(tmp_path, *words, **torchrun, TORCHELASTIC_RESTART_COUNT="0")
    wait_for_epoch(run, 1, ranks[0].process.is_alive)
    os.kill(ranks[1].process.pid, signal.SIGSTOP)
    _, err = ranks[0].end(EXIT_LOST)
    ranks[1].process.kill()
    assert "rank 0 waited at step" in err and "rank 1 (last seen at step" in err, err
    ranks = start(tmp_path, *words, **torchrun, TORCHELASTIC_RESTART_COUNT="1")
    for rank in (*ranks, *start(tmp_path, *TWO_AGREE, "--out", straight.path)):
        rank.end(0)
    assert first_difference(straight, run) is None


def test_a_stop_on_two_processes_goes_on_with_one(tmp_path):
    run = RunFolder(tmp_path / "run")
    ranks = start(tmp_path, *TWO_AGREE, "--out", run.path)
    wait_for_epoch(run, 1, ranks[0].process.is_alive)
    os.kill(ranks[1].process.pid, signal.SIGTERM)  # one gets the signal, both stop
    out, _ = ranks[0].end(143)
    ranks[1].end(143)
    assert "last.safetensors; resume with: python train.py --resume" in out
    Command(tmp_path, "--resume", run.path).end(status=0)
    assert [r["kind"] for r in run.records()] == ["start", *["epoch"] * 4, "end"]


@pytest.mark.slow
def test_torchrun_starts_two_processes(tmp_path):
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "train.py")
    words = [sys.executable, "-m", *torchrun, *SMOKE, "--dry-run"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("one step done: E = 1.0986") == 1
