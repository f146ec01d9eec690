"""What must hold for any logits: invariances, sums and special cases, over drawn shapes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import crossent
from tests.loss.conftest import assert_like_torch


@st.composite
def cases(draw):
    """Draw logits, target and settings of any kind in float64."""
    shape = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    torch.manual_seed(draw(st.integers(0, 2**31)))
    logits = torch.randn(shape, dtype=torch.float64) * draw(st.sampled_from([0.1, 3.0, 50.0]))
    if draw(st.booleans()):
        target = torch.rand(shape, dtype=torch.float64)
        target = target / target.sum(1, keepdim=True)
    else:
        target = torch.randint(shape[1], (shape[0], *shape[2:]))
        target[torch.rand(target.shape) < draw(st.sampled_from([0.0, 0.3]))] = -100
    weight = torch.rand(shape[1], dtype=torch.float64) + 0.1 if draw(st.booleans()) else None
    smoothing = draw(st.sampled_from([0.0, 0.1, 1.0]))
    return logits.requires_grad_(), target, {"weight": weight, "label_smoothing": smoothing}


@given(cases(), st.sampled_from(["mean", "sum", "none"]))
@settings(deadline=None, max_examples=40)
def test_any_shape_agrees_with_torch(case, reduction):
    logits, target, arguments = case
    assert_like_torch(logits, target, reduction=reduction, **arguments)


@given(cases(), st.floats(-1e3, 1e3))
@settings(deadline=None, max_examples=40)
def test_moving_all_logits_of_a_sample_together_changes_nothing(case, shift):
    logits, target, arguments = case
    loss = crossent.cross_entropy(logits, target, reduction="none", **arguments)
    moved = crossent.cross_entropy(logits + shift, target, reduction="none", **arguments)
    torch.testing.assert_close(moved, loss, rtol=1e-9, atol=1e-9)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    no_change = torch.zeros_like(gradient[:, 0])
    torch.testing.assert_close(gradient.sum(1), no_change, rtol=0, atol=1e-12)
