"""Sums in shared memory. Threads stand in for processes: each has its own map of the file."""

import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch.distributed import HashStore  # type: ignore[attr-defined]

from crossent.training import shared_sum
from crossent.training.shared_sum import (
    ROW,
    Missing,
    SharedSum,
    machine_fits,
    make_file,
    num_bytes,
    share_memory,
)

pytestmark = pytest.mark.skipif(not machine_fits(), reason="other machines add up with gloo")
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-14, torch.bfloat16: 2**-7}


@pytest.fixture
def memory(tmp_path):
    path = tmp_path / "memory"
    path.write_bytes(bytes(num_bytes(3)))
    return str(path)


def at_once(function, size):
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(function, range(size)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("num", [0, 1, 3, ROW // 4, ROW + 5])
def test_every_process_gets_the_same_sum(memory, num, dtype):
    parts = torch.randn(3, num, generator=torch.Generator().manual_seed(num)).to(dtype)

    def add(rank):
        half = num // 2
        halves = [parts[rank, :half], parts[rank, half:]]
        return SharedSum(memory, rank, 3, timeout_s=60)(halves)

    sums = at_once(add, 3)
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(
        sums[0].double(), parts.double().sum(dim=0), rtol=tolerance, atol=2 * tolerance
    )
    assert torch.equal(sums[0], sums[1]) and torch.equal(sums[0], sums[2])


def test_a_process_that_is_ahead_spoils_no_sum_of_one_that_is_behind(memory):
    def add(rank):
        add_up, found = SharedSum(memory, rank, 3, timeout_s=60), []
        for call in range(60):
            if (call + rank) % 7 == 0:
                time.sleep(0.002)
            found.append(add_up([torch.tensor([float(call), float(rank), 1.0])]).tolist())
        return found

    assert at_once(add, 3) == [[[3 * call, 3.0, 3.0] for call in range(60)]] * 3


def test_a_sum_of_another_type_is_not_the_last_one(memory):
    def add(rank):
        add_up = SharedSum(memory, rank, 3, timeout_s=60)
        types = [torch.float32, torch.float64, torch.int64] * 2
        return [add_up([torch.tensor([2, rank], dtype=dtype)]).tolist() for dtype in types]

    assert at_once(add, 3) == [[[6, 3]] * 6] * 3


@pytest.fixture
def ended():
    """The process id of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_that_has_ended_is_named(memory, ended):
    first, second, third = (SharedSum(memory, rank, 3, timeout_s=60) for rank in range(3))
    assert third.pids.tolist() == [os.getpid()] * 3
    second.pids[1] = ended
    with pytest.raises(Missing, match="has ended") as error:
        first([torch.ones(1)])
    assert error.value.ranks == [1]


def test_a_process_that_ended_after_its_part_is_not_missed(memory, ended):
    first, second, third = (SharedSum(memory, rank, 3, timeout_s=60) for rank in range(3))
    second.pids[1] = ended
    second.rows[1, 1, :4].view(torch.float32)[0] = 5.0
    second.counts[1] = 1

    def late():
        time.sleep(0.3)
        return third([torch.ones(1)]).item()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(late)
        assert first([torch.ones(1)]).item() == 7.0
        assert future.result() == 7.0


def test_a_process_that_does_not_come_in_time_is_named(memory):
    first, second, _ = (SharedSum(memory, rank, 3, timeout_s=0.05) for rank in range(3))
    second.counts[1] = 1
    with pytest.raises(Missing, match=r"no answer within 0\.05 s") as error:
        first([torch.ones(1)])
    assert error.value.ranks == [2]


def open_files():
    return {link.name for link in Path("/proc/self/fd").iterdir()}


def test_memory_is_shared_and_leaves_no_file_open():
    store, before = HashStore(), open_files()
    sums = at_once(lambda rank: share_memory(store, rank, 2, 60), 2)
    assert len(open_files()) == len(before)

    def add(rank):
        return sums[rank]([torch.tensor([1.0 + rank])]).item()

    assert at_once(add, 2) == [3.0, 3.0]


def test_no_room_is_no_memory_for_anybody(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    store, before = HashStore(), open_files()
    assert make_file(8) is None
    assert at_once(lambda rank: share_memory(store, rank, 2, 60), 2) == [None, None]
    assert len(open_files()) == len(before)


def test_one_that_cannot_map_the_file_means_none_for_anybody(monkeypatch):
    class OnlyTheFirst(SharedSum):
        def __init__(self, path, rank, size, timeout_s):
            if rank == 1:
                raise RuntimeError("unable to mmap")
            super().__init__(path, rank, size, timeout_s)

    monkeypatch.setattr(shared_sum, "SharedSum", OnlyTheFirst)
    store, before = HashStore(), open_files()
    assert at_once(lambda rank: share_memory(store, rank, 2, 60), 2) == [None, None]
    assert len(open_files()) == len(before)


@pytest.mark.parametrize(
    ("local", "machine", "expected"),
    [
        ("2", "x86_64", True),
        ("1", "x86_64", False),
        (None, "x86_64", False),
        ("2", "aarch64", False),
    ],
)
def test_only_processes_of_one_fitting_machine_share_memory(monkeypatch, local, machine, expected):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if local is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert shared_sum.can_share_memory() == expected
