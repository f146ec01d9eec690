"""A fixture that runs a test with each version of the loss, and a comparison with torch."""

from importlib import import_module

import pytest
import torch
from torch.nn import functional as F

import crossent
from crossent.loss import blocked

cross_entropy = import_module("crossent.loss.cross_entropy")  # the module, not the function


WAYS = ("as called", "small blocks", "plain")


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Make `crossent.cross_entropy` use one version for all arguments, and return its name."""
    if request.param == "small blocks":
        monkeypatch.setattr(blocked, "BLOCK", 7)
    if request.param == "plain":
        monkeypatch.setattr(cross_entropy, "can_be_blocked", lambda *tensors: False)
    return request.param


def assert_like_torch(logits, target, *more, tolerance=None, **settings):
    """Compare value, dtype and gradient with torch's, each E_n multiplied by another factor."""
    logits = logits.detach().requires_grad_()
    results = []
    for function in (crossent.cross_entropy, F.cross_entropy):
        value = function(logits, target, *more, **settings)
        factors = torch.linspace(1, 2, value.numel()).to(value).reshape(value.shape)
        (gradient,) = torch.autograd.grad((factors * value).sum(), logits)
        results.append((value.detach(), gradient))
    torch.testing.assert_close(*results, rtol=tolerance, atol=tolerance, equal_nan=True)
