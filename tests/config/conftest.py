"""Configs written for one test, with the mistakes that they cause."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from crossent.config import load_settings
from crossent.errors import UserError


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a config into an empty folder; the name is fox.yaml if none is given."""

    def write(content: str | bytes, name: str = "fox.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def mistakes(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """Give the lines of the error for a config called fox.yaml, seen from its own folder."""

    def mistakes(
        content: str | bytes = "",
        overrides: Sequence[str] = (),
        model_names: Sequence[str] | None = None,
    ) -> list[str]:
        write(content)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError) as caught:
            load_settings("fox.yaml", overrides, model_names)
        return str(caught.value).split("\n")

    return mistakes
