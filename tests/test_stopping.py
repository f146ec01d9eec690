"""Ctrl-C and SIGTERM, whatever the training is doing: saved, said where, the right exit status."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import train
from crossent.training.run_folder import RunFolder
from crossent.verify_resume import first_difference
from tests.drill import PLACES
from tests.forked import ROOT, Command, Mishap

SMOKE = ("-c", "configs/smoke.yaml", "train.threads=1", "train.checkpoint_every=1 steps")
STATUS = {"SIGTERM": 143, "SIGINT": 130}
WITHIN_S = 10
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into Linux's /proc")


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    Command(folder, *SMOKE, "--out", folder / "run").end(status=0)
    return RunFolder(folder / "run")


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_signal_anywhere_saves_and_says_where(straight, tmp_path, place):
    run = tmp_path / "run"
    name = "SIGINT" if list(PLACES).index(place) % 2 else "SIGTERM"
    stopped = Command(tmp_path, *SMOKE, "--out", run, mishap=Mishap(name, place))
    out, err = stopped.end(STATUS[name])
    last = run / "last.safetensors"
    assert f"{name}: saved in {last}; go on with: python train.py --resume {run}" in out
    assert err == ""
    Command(tmp_path, "--resume", run).end(status=0)
    assert first_difference(straight, RunFolder(run)) is None


def test_a_signal_before_the_first_step_has_nothing_to_save(straight, tmp_path):
    run = tmp_path / "run"
    mishap = Mishap("SIGTERM", "in validation", step=-1)
    out, err = Command(tmp_path, *SMOKE, "--out", run, mishap=mishap).end(143)
    assert f"SIGTERM: there is nothing to save yet; go on with: python train.py --resume {run}" in (
        out
    )
    assert err == ""
    Command(tmp_path, "--resume", run).end(status=0)
    assert first_difference(straight, RunFolder(run)) is None


def test_a_second_signal_leaves_at_once(tmp_path):
    mishap = Mishap("SIGTERM twice", "in the middle of a save")
    out, err = Command(tmp_path, *SMOKE, "--out", tmp_path / "run", mishap=mishap).end(143)
    assert "saved in" not in out
    assert err == ""


def test_the_first_signal_while_the_report_is_written_ends_it(tmp_path, monkeypatch, capsys):
    from crossent.report import report

    def slow(*_):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    monkeypatch.setattr(report, "write_report", slow)
    handlers = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    try:
        status = train.main([*SMOKE, "train.epochs=1", "--out", str(tmp_path / "run")])
    finally:
        for signum, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
            signal.signal(signum, handler)
    assert status == 130
    assert "SIGINT: the run is saved; for its page: python -m crossent report" in (
        capsys.readouterr().out
    )


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def stop_while_it_has_children(command):
    """Send SIGTERM as soon as there are workers; the workers, and what was printed."""
    deadline = time.monotonic() + 60
    while not (workers := children(command.process.pid)):
        assert time.monotonic() < deadline and command.process.is_alive()
        time.sleep(0.01)
    time.sleep(0.3)
    workers += children(command.process.pid)
    os.kill(command.process.pid, signal.SIGTERM)
    return workers, command.end(143, timeout_s=WITHIN_S)


def assert_gone(workers):
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker has outlived its training"
        time.sleep(0.05)


@linux
def test_a_signal_while_drawing_ends_the_workers(tmp_path):
    command = Command(tmp_path, *SMOKE, "data.num_images=60000", "--out", tmp_path / "run")
    workers, (out, err) = stop_while_it_has_children(command)
    assert "SIGTERM: there is nothing to save yet" in out
    assert err == ""
    assert_gone(workers)


@linux
def test_a_signal_while_decoding_ends_the_workers(tmp_path):
    large = tmp_path / "large.png"
    Image.effect_noise((2400, 2400), 80).convert("RGB").save(large, compress_level=1)
    for name in ("dog", "fox"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(15):
            copy = tmp_path / "pictures" / name / f"{number}.png"
            shutil.copy(large, copy)
            with copy.open("ab") as file:
                file.write(f"{name} {number}".encode())  # no duplicate: each is decoded
    words = ("data.source=folder", f"data.root={tmp_path / 'pictures'}", "data.cache=false")
    command = Command(tmp_path, *SMOKE, *words, "--out", tmp_path / "run")
    workers, (out, err) = stop_while_it_has_children(command)
    assert "SIGTERM: there is nothing to save yet" in out
    assert err == ""
    assert_gone(workers)


def is_caught(pid, signum):
    """Whether the process has a handler for the signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask.split()[1], 16) >> (signum - 1) & 1)


@linux
@pytest.mark.parametrize(("wait_s", "signum"), [(0, 15), (0.3, 2), (1.0, 15)])
def test_a_signal_during_the_imports_is_one_line(tmp_path, wait_s, signum):
    words = [sys.executable, "train.py", *SMOKE, "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not is_caught(process.pid, 15):
        assert process.poll() is None
        time.sleep(0.001)
    time.sleep(wait_s)
    process.send_signal(signum)
    out, err = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 128 + signum, out + err
    assert "Traceback" not in err
    assert (out + err).count("\n") <= 3  # it may have drawn its few pictures already
    assert signal.Signals(signum).name in out + err
