"""The three texts of the loss, so that each test can hold for all of them."""

import pytest

from crossent.loss import blocked, criterion, small

WAYS = ("as called", "many samples", "blocked", "long rows", "plain")


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Compute `crossent.cross_entropy` by the text of that name, whatever the arguments."""
    if request.param == "many samples":
        monkeypatch.setattr(small, "FEW", 0)
    elif request.param != "as called":
        monkeypatch.setattr(criterion, "is_small", lambda logits, target: False)
    if request.param in ("blocked", "long rows"):
        monkeypatch.setattr(blocked, "BLOCK", 7)  # several blocks, of N and of D
    if request.param == "long rows":
        monkeypatch.setattr(blocked, "LONG_ROW", 1)
    if request.param == "plain":
        monkeypatch.setattr(criterion, "_is_usual", lambda *tensors: False)
    return request.param
