"""Configs written for one test, and the mistakes that they cause."""

import pytest

from crossent.config import load_settings
from crossent.errors import UserError


@pytest.fixture
def write(tmp_path):
    """Write a config into an empty folder."""

    def write(content, name="fox.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def mistakes(write, tmp_path, monkeypatch):
    """Return the lines of the error for fox.yaml, loaded from its own folder."""

    def mistakes(content="", overrides=()):
        write(content)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError) as caught:
            load_settings("fox.yaml", overrides)
        return str(caught.value).split("\n")

    return mistakes
