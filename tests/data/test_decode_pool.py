"""The decode pool: a file that harms its process affects no other file."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import cycle
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from data import decode_pool
from data.decode import decode
from data.decode_pool import decode_in_order, num_cpus, start_workers
from data.images import UnusableImage
from tests.data.pictures import encoded, make_folder, scene

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def paths(tmp_path):
    folder = make_folder(tmp_path / "animals", {"dog": 6})
    return [str(path) for path in sorted(folder.rglob("*.jpg"))]


@pytest.fixture
def at_start(monkeypatch, tmp_path):
    """Return a function that sets the code which workers run when they start."""
    resource_tracker.ensure_running()  # a helper process of Python, which must not run the code
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return (tmp_path / "sitecustomize.py").write_text


@pytest.mark.slow
def test_a_crash_and_a_hang_affect_one_file_each(paths, monkeypatch, at_start):
    """No known file makes Pillow crash or hang, so a trap in `os.open` does."""
    at_start(
        "import os, time\n"
        "open_ = os.open\n"
        "def trap(path, *a, **k):\n"
        "    if str(path).endswith('crash.jpg'): os.abort()\n"
        "    if str(path).endswith('hang.jpg'): time.sleep(600)\n"
        "    return open_(path, *a, **k)\n"
        "os.open = trap\n"
    )
    monkeypatch.setattr(decode_pool, "SECONDS_PER_FILE", 1.0)
    paths[0:0], paths[4:4] = ["crash.jpg"], ["hang.jpg"]
    results = dict(zip(paths, decode_in_order(paths, [16]), strict=True))
    found = {path: str(r) for path, r in results.items() if isinstance(r, UnusableImage)}
    reason = "crashes the decoder, or takes over 1 s"
    assert found == {"crash.jpg": reason, "hang.jpg": reason}


def test_workers_that_do_not_start_are_not_blamed_on_a_file(paths, at_start):
    at_start("import os; os._exit(3)\n")
    with pytest.raises(RuntimeError, match="do not start"):
        list(decode_in_order(paths, [16]))


def test_results_come_in_order_and_few_at_a_time(paths):
    taken = []

    def endless():
        for path in cycle(paths):
            taken.append(path)
            yield path

    for number, result in enumerate(decode_in_order(endless(), [16], window=5)):
        assert (result.pixels[0] == decode(taken[number], 16)).all()
        assert len(taken) <= number + 5
        if number == 30:  # a consumer that stops early leaves no process
            break
    assert multiprocessing.active_children() == []


DECODE = """
import sys
from data.decode_pool import decode_in_order
for _ in decode_in_order([sys.argv[1]] * 100_000, [64], num_workers=2):
    print("one", flush=True)
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path, signum):
    (tmp_path / "a.jpg").write_bytes(encoded(scene(1)))
    command = [sys.executable, "-c", DECODE, str(tmp_path / "a.jpg")]
    pipe = subprocess.PIPE
    run = subprocess.Popen(command, cwd=ROOT, process_group=0, stdout=pipe, stderr=pipe, text=True)
    for _ in range(100):  # so many that both workers have started
        run.stdout.readline()
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    assert len(children) >= 2
    os.killpg(run.pid, signum) if signum == signal.SIGINT else run.kill()
    _, stderr = run.communicate(timeout=60)  # waits for all processes that hold the pipe
    assert stderr.count("Traceback") <= 1  # the workers print none
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_do_not_import_torch():
    """`spawn` imports the main module in each worker; torch would take seconds and memory."""
    code = "import runpy, sys, data.decode_pool\n"
    code += "for main in 'train.py', 'crossent/__main__.py':\n"
    code += "    runpy.run_path(main, run_name='__mp_main__')\n"
    code += "print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "False\n"


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000\n", 8), ("150000 100000\n", 2), ("40000 100000\n", 1), (None, 8)],
)
def test_num_cpus_is_the_smaller_of_affinity_and_quota(quota, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8))
    if quota:
        (tmp_path / "cpu.max").write_text(quota)
    assert num_cpus(tmp_path / "cpu.max") == expected


def test_workers_ignore_ctrl_c_from_their_start_on():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with start_workers(1) as pool:
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
        assert signal.SIGINT in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
