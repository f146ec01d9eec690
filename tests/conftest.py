import os
import signal
import tempfile
from pathlib import Path

import pytest
import torch

from tests.report.browser import Browser, find_browser, skip_but_not_in_ci


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tiny tensors gain nothing from more threads, and on a busy machine they wait for them."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c():
    """A shell lets its background jobs ignore Ctrl-C, and so would all processes of the tests."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Decoded pictures of the tests stay out of the user's cache folder."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium for all pages."""
    if find_browser() is None:
        skip_but_not_in_ci("no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        found = Browser(Path(profile))
        yield found
        found.close()


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """The folder of a run of tests/tiny.yaml that ended well, to compare with and to copy."""
    from crossent.training.run_folder import RunFolder
    from tests.forked import SMOKE, Command

    folder = tmp_path_factory.mktemp("smoke")
    Command(folder, *SMOKE, "--out", folder / "run").end(status=0)
    return RunFolder(folder / "run")
