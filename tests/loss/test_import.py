"""`cross_entropy` is the function, though its module has the same name."""

import importlib
from types import FunctionType

import crossent
import crossent.loss


def test_the_name_is_the_function_also_when_its_module_was_imported():
    module = importlib.import_module("crossent.loss.cross_entropy")
    assert isinstance(crossent.loss.cross_entropy, FunctionType)
    assert crossent.cross_entropy is crossent.loss.cross_entropy is module.cross_entropy
