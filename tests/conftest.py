import os
import signal
import tempfile
from pathlib import Path

import pytest
import torch

from tests.report.browser import Browser, find_browser, skip_but_not_in_ci


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Use one thread: with tiny tensors, several only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c():
    """Let Ctrl-C end the tests even in the background, where a shell makes them ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Keep the pictures of the tests out of the user's cache folder."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


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
def smoke_path(tmp_path_factory):
    return tmp_path_factory.mktemp("smoke") / "run"


@pytest.fixture(scope="session")
def smoke_output(smoke_path):
    """Return what train.py prints for tests/tiny.yaml."""
    from tests.forked import SMOKE, Command

    return Command(smoke_path.parent, *SMOKE, "--out", smoke_path).end(status=0)[0]


@pytest.fixture(scope="session")
def smoke_run(smoke_path, smoke_output):
    """Return the folder of that run; tests read or copy it, but do not change it."""
    from crossent.training.run_folder import RunFolder

    return RunFolder(smoke_path)
