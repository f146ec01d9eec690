"""The examples in the docstrings give what they say."""

import doctest
import importlib

import pytest

MODULES = ["advice", "decode", "duplicates", "limits", "split"]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"data.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
