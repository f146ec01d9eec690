"""A signal at any moment: the run is saved, its folder is printed, the exit status is right."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crossent.training.run_folder import RunFolder
from crossent.verify_resume import first_difference
from tests.forked import ROOT, SMOKE, Command, Mishap

STATUS = {"SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129}
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into Linux's /proc")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "step", "name"),
    [
        ("in validation", -1, "SIGTERM"),  # of the untrained model
        ("before a step", 1, "SIGINT"),
        ("in the middle of a save", 1, "SIGHUP"),
    ],
)
def test_a_signal_anywhere_saves_the_run_and_prints_where(smoke_run, tmp_path, place, step, name):
    run = RunFolder(tmp_path / "run")
    stopped = Command(tmp_path, *SMOKE, "--out", run.path, mishap=Mishap(name, place, step))
    out, err = stopped.end(STATUS[name])
    what = f"saved in {run.last}" if step > 0 else "there is nothing to save yet"
    assert f"{name}: {what}; resume with: python train.py --resume {run.path}" in out
    assert err == ""
    Command(tmp_path, "--resume", run.path).end(status=0)
    assert first_difference(smoke_run, run) is None


def test_nohup_keeps_sighup_and_losing_the_terminal_is_no_error():
    program = (
        "import os, signal\n"
        "from crossent.training.signals import StopRequest\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "stop = StopRequest().install()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "assert stop.signum is None\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "main, terminal = os.openpty()\n"
        "os.dup2(terminal, 1)\n"
        "os.close(main)\n"
        "stop.install()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "assert stop.signum == signal.SIGHUP\n"
        "print('to nobody', flush=True)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.slow
def test_a_run_goes_on_without_a_reader_of_its_output_and_without_a_compiler(tmp_path):
    """torch imports its compiler on many occasions, which takes 0.75 s."""
    run = RunFolder(tmp_path / "run")
    program = (
        "import sys, train, crossent.__main__ as crossent\n"
        "from crossent.errors import run_main\n"
        "status = run_main(train.main, sys.argv[1:])\n"
        "status = status or run_main(crossent.main, ['evaluate', sys.argv[-1]])\n"
        "sys.exit(status or ('torch._dynamo' in sys.modules and 'the compiler is imported'))\n"
    )
    words = [sys.executable, "-c", program, *SMOKE, "train.epochs=1", "--out", str(run.path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert (process.wait(timeout=60), process.stderr.read()) == (0, "")
    assert run.records()[-1]["kind"] == "end"
    assert run.report.exists()


def test_a_second_signal_ends_the_program_at_once(tmp_path):
    mishap = Mishap("SIGTERM twice", "in the middle of a save")
    out, err = Command(tmp_path, *SMOKE, "--out", tmp_path / "run", mishap=mishap).end(143)
    assert "saved in" not in out
    assert err == ""


def test_a_signal_while_the_report_is_written_ends_the_program(tmp_path):
    mishap = Mishap("SIGINT", "before the report")
    words = (*SMOKE, "train.epochs=1", "--out", tmp_path / "run")
    out, _ = Command(tmp_path, *words, mishap=mishap).end(130)
    assert "SIGINT: the run is saved; write its report: python -m crossent report" in out


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@linux
def test_a_signal_while_drawing_ends_the_workers(tmp_path):
    """Decoding uses the same pool of workers."""
    command = Command(tmp_path, *SMOKE, "data.num_images=60000", "--out", tmp_path / "run")
    deadline = time.monotonic() + 60
    while not (workers := children(command.process.pid)):
        assert time.monotonic() < deadline and command.process.is_alive()
        time.sleep(0.01)
    time.sleep(0.3)
    workers += children(command.process.pid)
    os.kill(command.process.pid, signal.SIGTERM)
    out, err = command.end(143, timeout_s=10)
    assert "SIGTERM: there is nothing to save yet" in out
    assert err == ""
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker is still running after its training has ended"
        time.sleep(0.05)
