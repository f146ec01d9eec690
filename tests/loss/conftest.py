"""The texts of the loss, so that each test can hold for all of them."""

from importlib import import_module

import pytest

from crossent.loss import blocked

cross_entropy = import_module("crossent.loss.cross_entropy")  # the module, not the function


WAYS = ("as called", "small blocks", "long rows", "plain")


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Compute `crossent.cross_entropy` by the text of that name, whatever the arguments."""
    if request.param in ("small blocks", "long rows"):
        monkeypatch.setattr(blocked, "BLOCK", 7)  # several blocks, of N and of D
    if request.param == "long rows":
        monkeypatch.setattr(blocked, "LONG_ROW", 1)
    if request.param == "plain":
        monkeypatch.setattr(cross_entropy, "can_be_blocked", lambda *tensors: False)
    return request.param
