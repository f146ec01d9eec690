"""Several processes compute the same numbers as one; a lost process is named."""

import copy
import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from crossent.build import make_batches, make_data
from crossent.config import load_settings
from crossent.errors import EXIT_LOST, UserError
from crossent.resume import first_difference
from crossent.training.batch_norm import use_global_batch_norm
from crossent.training.distributed import Processes, join_processes, leave_at_once
from crossent.training.run_folder import RunFolder
from tests.forked import CONTEXT, ROOT, SMOKE, Command
from tests.training.parts import make_trainer
from train import run_path

# mixup and class weights
WEIGHT = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
CASES = {"hard": (0.0, None), "weights": (0.0, WEIGHT), "mixed": (0.3, WEIGHT)}
TWO_AGREE = (*SMOKE, "train.epochs=4", "train.batch_size=6")


def environments():
    """Return the environments that torchrun gives to two processes of one run."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    return [common | {"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]


def start(folder, *words, **more):
    """Start train.py twice as torchrun would, without the seconds of its imports.

    Only rank 0 has the folder of the run, as on two machines without a shared disk.
    """
    outs = (folder / "run", folder / "of rank 1")
    return [
        Command(folder, *words, "--out", out, **environment | more)
        for environment, out in zip(environments(), outs, strict=True)
    ]


def first_epoch(case, processes):
    """Return the losses of each step, the validation and the weights after one epoch in float64."""
    mixup, weight = CASES[case]
    # no dropout, because each process draws its own
    trainer = make_trainer(dropout=0.0, mixup=mixup, weight=weight, processes=processes)
    trainer.model.double()
    for module in (trainer.model, trainer.model.head):
        module.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    if processes.size > 1:
        use_global_batch_norm(trainer.model)
    losses = [trainer.train_totals().E for _ in trainer.train_epoch()]
    record = trainer.finish_epoch(trainer.validate())
    state = trainer.model.state_dict()
    return {
        "losses": losses,
        "samples": processes.total(trainer.losses).tolist(),
        "train": list(record["train"].values()),
        "val": list(record["val"].values()),
        **{name: tensor.double().flatten().tolist() for name, tensor in state.items()},
    }


def compute_all(environment, path):
    """Compute the cases in one of the processes; rank 0 writes the results."""
    os.environ |= environment
    torch.set_num_threads(1)
    with join_processes(timeout_s=60) as processes:
        found = {case: first_epoch(case, processes) for case in CASES}
        if processes.is_first:
            path.write_text(json.dumps(found))
        processes.wait_for_all("finished")  # as in train.py
    leave_at_once(0)


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory):
    path = tmp_path_factory.mktemp("ranks") / "found.json"
    ranks = [CONTEXT.Process(target=compute_all, args=(e, path)) for e in environments()]
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


def test_a_layer_in_bf16_is_torchs_own():
    """Its weights are float32, as under autocast. A gradient is rounded three times."""
    torch.manual_seed(3)
    x = (3 * torch.randn(6, 5, 4, 3) + 1).bfloat16().contiguous(memory_format=torch.channels_last)
    slope, layer = torch.randn(x.shape).bfloat16(), torch.nn.BatchNorm2d(5)
    torch.nn.init.uniform_(layer.weight)
    other, results = copy.deepcopy(layer), []
    use_global_batch_norm(other)
    for own in (layer, other):
        part = x.clone().requires_grad_()
        y = own(part)
        y.backward(slope)
        results.append([y, part.grad, own.weight.grad, own.bias.grad])
        results[-1] += [own.running_mean, own.running_var]
    for n, (expected, found) in enumerate(zip(*results, strict=True)):
        tolerance = 2**-6 if n < 4 else 2e-6
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=4 * tolerance)


def test_each_process_explains_what_is_not_finite_in_one_line_and_exits_with_3(tmp_path):
    words = ("optim.lr=1e38", "optim.weight_decay=10", "schedule.warmup=0")
    for rank, command in enumerate(start(tmp_path, *TWO_AGREE, *words)):
        _, err = command.end(3)
        assert f"rank {rank}: epoch 1, step" in err and err.count("\n") == 1
        assert "The weight features.0.0.weight was not finite" in err
        assert "schedule.warmup=0.1" in err


def test_processes_with_different_pictures_are_refused(tmp_path):
    ranks = [
        Command(tmp_path, *SMOKE, f"data.num_images={num}", "--out", tmp_path / num, **environment)
        for num, environment in zip(("30", "33"), environments(), strict=True)
    ]
    for command in ranks:
        assert "the processes have different pictures" in command.end(2)[1]


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
        run_path(config=None, out=None, resume=None)


def test_a_process_that_hangs_is_named_and_a_restart_ends_in_the_same_bytes(tmp_path):
    """torchrun restarts all processes; its store still has the addresses of the old ones."""
    straight, run = RunFolder(tmp_path / "straight" / "run"), RunFolder(tmp_path / "run")
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    words = (*TWO_AGREE, "train.timeout_s=4")
    torchrun = {"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    torchrun["MASTER_PORT"] = str(store.port)
    ranks = start(tmp_path, *words, **torchrun, TORCHELASTIC_RESTART_COUNT="0")
    ranks[0].wait_for(lambda: len(run.records()) > 1)  # the first epoch
    os.kill(ranks[1].process.pid, signal.SIGSTOP)
    _, err = ranks[0].end(EXIT_LOST)
    ranks[1].process.kill()
    assert "rank 0 waited at step" in err and "rank 1 (last seen at step" in err, err
    ranks = start(tmp_path, *words, **torchrun, TORCHELASTIC_RESTART_COUNT="1")
    for rank in (*ranks, *start(straight.path.parent, *TWO_AGREE)):
        rank.end(0)
    assert first_difference(straight, run) is None


def test_a_stop_on_two_processes_goes_on_with_one(tmp_path):
    run = RunFolder(tmp_path / "run")
    ranks = start(tmp_path, *TWO_AGREE)
    ranks[0].wait_for(lambda: len(run.records()) > 1)  # the first epoch
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
