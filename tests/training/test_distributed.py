"""Several processes: the same numbers as one, and what happens when one of them is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from crossent.build import make_batches, make_data
from crossent.config import load_settings
from crossent.errors import UserError
from crossent.tensor_file import hash_tensors, read_tensors
from crossent.training.distributed import Processes, join_processes
from tests.training.ranks import CASES, batch_norm, first_epoch

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ("train.py", "-c", "configs/smoke.yaml", "train.threads=1", "train.mixup=0.2")
LONG = ("train.epochs=40", "train.batch_size=6")  # long enough to be hit while it runs


def torchrun(*words, processes=2, max_restarts=0):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={processes}", f"--max-restarts={max_restarts}", *map(str, words),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCHELASTIC_ERROR_FILE": os.devnull}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process, timeout=240):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory):
    path = tmp_path_factory.mktemp("ranks") / "found.json"
    status, out, err = finish(torchrun("-m", "tests.training.ranks", path))
    assert status == 0, out + err
    return json.loads(path.read_text())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_two_processes_compute_what_one_does(of_two_processes, case, dtype):
    alone = first_epoch(case, dtype, Processes())
    together = of_two_processes[f"{case} {dtype}"]
    tolerance = {torch.float64: 1e-6, torch.float32: 1e-4}[dtype]
    assert together["count"] == alone["count"] == 45
    np.testing.assert_allclose(together["losses"], alone["losses"], rtol=tolerance)
    assert together["samples"]["count"] == alone["samples"]["count"]
    np.testing.assert_allclose(
        together["samples"]["total"], alone["samples"]["total"], rtol=tolerance, atol=1e-5
    )
    for split in ("train", "val"):
        assert together[split]["E"] == pytest.approx(alone[split]["E"], rel=tolerance)
        assert together[split]["accuracy"] == pytest.approx(alone[split]["accuracy"])
    if dtype == torch.float64:  # pictures are augmented in float32 all the same: hence atol
        for name, values in alone["weights"].items():
            np.testing.assert_allclose(
                together["weights"][name], values, rtol=tolerance, atol=1e-7, err_msg=name
            )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_a_layer_on_two_processes_is_torchs_own_on_the_whole_batch(of_two_processes, dtype):
    """bfloat16 rounds three times on the way to a gradient, here of numbers up to 4.

    The statistics are float32 even then.
    """
    of_statistics = 1e-12 if dtype == torch.float64 else 2e-6
    of_gradients = 2**-6 if dtype == torch.bfloat16 else of_statistics
    alone, together = batch_norm(dtype, Processes()), of_two_processes[f"batch norm {dtype}"]
    for name, values in alone.items():
        tolerance = of_statistics if name == "running statistics" else of_gradients
        np.testing.assert_allclose(
            together[name], values, rtol=tolerance, atol=4 * tolerance, err_msg=name
        )


def test_the_checkpoint_of_rank_0_reaches_a_process_that_cannot_see_its_disk(of_two_processes):
    assert of_two_processes["resumed"] == {"same": 2, "files": 1, "steps": 12}


def test_the_E_of_a_dry_run_is_that_of_the_whole_batch(tmp_path):
    words = (*SMOKE, "--dry-run", "--out", tmp_path / "run")
    status, out, err = finish(torchrun(*words))
    assert status == 0, err
    assert out.splitlines()[-1:] == ["one step done: E = 1.0986; nothing was kept"]
    assert out.count("one step done") == 1


def test_a_number_that_is_not_finite_is_looked_for_by_each_process(tmp_path):
    explode = ("optim.lr=1e38", "optim.weight_decay=10", "schedule.warmup=0")
    _, _, err = finish(torchrun(*SMOKE, *explode, "--out", tmp_path / "run"))
    for rank in (0, 1):
        assert f"error: rank {rank}: epoch 1, step" in err
    assert "was not finite before the step" in err


class Notes(dict):
    """What a store does for processes that wait for a note."""

    def set(self, key, value):
        self[key] = value

    def wait(self, keys, timeout):
        assert set(keys) <= self.keys(), "would wait"


def test_the_first_process_of_each_machine_goes_ahead():
    """Two machines with two processes each: ranks 0 and 2 decode, 1 and 3 wait for their own."""
    notes = Notes()
    ranks = [Processes(rank, 4, rank % 2, notes) for rank in range(4)]
    for rank in (0, 1):
        with ranks[rank].first_goes_ahead():
            pass
    with pytest.raises(AssertionError, match="would wait"), ranks[3].first_goes_ahead():
        pass
    for rank in (2, 3):
        with ranks[rank].first_goes_ahead():
            pass


def test_more_processes_than_gpus_are_told(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="process 3 of this machine has no GPU: it has 2"):
        join_processes(timeout_s=1).__enter__()


def wait_for_checkpoint(process, path, step):
    """Until the run has made a checkpoint at a step or later."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if (path / "metrics.jsonl").exists():
            records = (path / "metrics.jsonl").read_text().splitlines()
            if sum('"epoch"' in record for record in records) > step:
                return
        time.sleep(0.02)
    pytest.fail("no checkpoint within two minutes")


def workers_of(process):
    """Process ids by rank of what torchrun has started."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            environment = (folder / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        ranks = [int(e[5:]) for e in environment if e.startswith(b"RANK=")]
        if parent == process.pid and ranks:
            found[ranks[0]] = int(folder.name)
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


def hash_of_model(path):
    return hash_tensors(read_tensors(path / "model.safetensors")[0])


def kinds_of(path):
    return [json.loads(line)["kind"] for line in (path / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@needs_proc
def test_a_killed_worker_is_started_again_and_the_run_ends_in_the_same_bytes(tmp_path):
    straight = torchrun(*SMOKE, *LONG, "--out", tmp_path / "straight")
    status, out, err = finish(straight)
    assert status == 0, out + err
    killed = torchrun(*SMOKE, *LONG, "--out", tmp_path / "killed", max_restarts=1)
    wait_for_checkpoint(killed, tmp_path / "killed", step=2)
    os.kill(workers_of(killed)[1], signal.SIGKILL)
    status, out, err = finish(killed)
    assert status == 0, out + err
    assert hash_of_model(tmp_path / "killed") == hash_of_model(tmp_path / "straight")
    assert kinds_of(tmp_path / "killed") == ["start", *["epoch"] * 40, "end"]


@pytest.mark.slow
@needs_proc
def test_a_worker_that_hangs_is_named(tmp_path):
    process = torchrun(*SMOKE, *LONG, "train.timeout_s=4", "--out", tmp_path / "run", processes=3)
    wait_for_checkpoint(process, tmp_path / "run", step=1)
    hanging = workers_of(process)[1]
    os.kill(hanging, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 60
        while len(workers_of(process)) == 3 and time.monotonic() < deadline:
            time.sleep(0.1)  # until another has given up; torchrun then wants to end rank 1
    finally:
        os.kill(hanging, signal.SIGKILL)
    status, out, err = finish(process)
    assert status != 0
    assert "waited at step" in err and "rank 1 (last seen at step" in err, out + err


@pytest.mark.slow
@needs_proc
def test_a_stop_on_two_processes_goes_on_with_one(tmp_path):
    process = torchrun(*SMOKE, *LONG, "--out", tmp_path / "run")
    wait_for_checkpoint(process, tmp_path / "run", step=1)
    os.kill(workers_of(process)[1], signal.SIGTERM)  # one is told, both agree
    _, out, err = finish(process)
    assert "last.safetensors; go on with: python train.py --resume" in out, out + err
    resumed = subprocess.run(
        [sys.executable, "train.py", "--resume", tmp_path / "run"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    assert kinds_of(tmp_path / "run") == ["start", *["epoch"] * 40, "end"]


def test_torchrun_needs_a_name_for_the_folder():
    status, _, err = finish(torchrun(*SMOKE, processes=1))
    assert status != 0
    assert "under torchrun name the folder of the run: --out RUN" in err


def test_a_batch_too_small_for_so_many_processes_is_told():
    settings = load_settings(None, ("train.batch_size=2", "data.num_images=60")).settings
    data = make_data(settings)
    with pytest.raises(UserError, match="batches of 2; expected at least a sample for each of 3"):
        make_batches(settings, data, torch.device("cpu"), Processes(rank=1, size=3))
    make_batches(settings, data, torch.device("cpu"), Processes(rank=1, size=2))


def test_shares_cover_everything_once():
    for num_items in (0, 1, 5, 12):
        shares = [Processes(rank, 3).part_of(num_items) for rank in range(3)]
        assert [i for share in shares for i in share] == list(range(num_items))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
