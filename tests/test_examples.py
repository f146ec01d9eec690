"""The examples in the docstrings give what they say."""

import doctest
import importlib

import pytest

MODULES = [
    "crossent.config.load", "crossent.config.render", "crossent.config.yaml_text",
    "crossent.evaluation.intervals", "crossent.evaluation.compare",
    "crossent.report.chart", "crossent.report.markup",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
