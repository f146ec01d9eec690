import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
import torch

from crossent.errors import run_main
from crossent.training.run_folder import RunFolder
from crossent.training.signals import StopRequest
from tests.forked import SMOKE, Command, crossent_or_train
from tests.report.browser import Browser, find_browser, skip_but_not_in_ci


@pytest.fixture(autouse=True, scope="session")
def set_up(tmp_path_factory):
    """Use one thread, because several wait for each other; keep out of the user's cache folder.

    Let Ctrl-C end the tests even in the background, where a shell makes them ignore it.
    """
    torch.set_num_threads(1)
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def browser():
    """Yield one headless Chromium for all pages."""
    if find_browser() is None:
        skip_but_not_in_ci("no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        found = Browser(Path(profile))
        yield found
        found.close()


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """Return the folder of a tiny run; tests read or copy it, but do not change it."""
    folder = tmp_path_factory.mktemp("smoke")
    out, err = Command(folder, *SMOKE, "--out", folder / "run").end(status=0)
    (folder / "printed").write_text(out)
    assert err == ""
    return RunFolder(folder / "run")


@pytest.fixture
def copy(smoke_run, tmp_path):
    """Return a copy of that run, to be changed."""
    return RunFolder(shutil.copytree(smoke_run.path, tmp_path / "run"))


@pytest.fixture
def command(capsys, monkeypatch):
    """Call a command that trains nothing in this process; return standard output and error."""
    monkeypatch.setattr(StopRequest, "install", lambda self: self)  # leave the signals to pytest

    def call(*words, status=0):
        assert run_main(*crossent_or_train(words)) == status
        return capsys.readouterr()

    return call


@pytest.fixture
def mistake(command):
    """Call such a command that must end with status 2; return the one sentence it prints."""

    def call(*words):
        err = command(*words, status=2).err
        assert err.startswith("error: ") and err.count("\n") == 1, err
        return err

    return call
