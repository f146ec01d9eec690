from pathlib import Path

import pytest

from data import cache
from data.decode_pool import try_inspect
from tests.data.pictures import make_folder


@pytest.fixture(autouse=True)
def decoded(monkeypatch):
    """Return the names of the decoded files; decode in this process, without a pool."""
    names: list[str] = []

    def decode_here(paths, sizes, num_workers):
        for path in paths:
            names.append(Path(path).name)
            yield try_inspect(path, sizes)

    monkeypatch.setattr(cache, "decode_in_order", decode_here)
    return names


@pytest.fixture
def animals(tmp_path):
    return make_folder(tmp_path / "animals", {"dog": 12, "fox": 8, "wolf": 4})
