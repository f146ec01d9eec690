"""What must hold for any logits: invariances, sums and special cases, over drawn shapes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import crossent


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


def gradient(loss, logits):
    return torch.autograd.grad(loss.sum(), logits)[0]


@given(cases(), st.sampled_from(["mean", "sum", "none"]))
@settings(deadline=None)
def test_any_shape_agrees_with_torch(case, reduction):
    logits, target, arguments = case
    ours = crossent.cross_entropy(logits, target, reduction=reduction, **arguments)
    theirs = F.cross_entropy(logits, target, reduction=reduction, **arguments)
    torch.testing.assert_close(ours, theirs, equal_nan=True)
    torch.testing.assert_close(gradient(ours, logits), gradient(theirs, logits), equal_nan=True)


@given(cases(), st.floats(-1e3, 1e3))
@settings(deadline=None)
def test_moving_all_logits_of_a_sample_together_changes_nothing(case, shift):
    logits, target, arguments = case
    loss = crossent.cross_entropy(logits, target, reduction="none", **arguments)
    moved = crossent.cross_entropy(logits + shift, target, reduction="none", **arguments)
    torch.testing.assert_close(moved, loss, rtol=1e-9, atol=1e-9)


@given(cases())
@settings(deadline=None)
def test_the_gradient_of_a_sample_adds_up_to_zero(case):
    logits, target, arguments = case
    gradients = gradient(
        crossent.cross_entropy(logits, target, reduction="sum", **arguments), logits
    )
    torch.testing.assert_close(
        gradients.sum(1), torch.zeros_like(gradients[:, 0]), rtol=0, atol=1e-12
    )


@given(st.integers(1, 40), st.integers(0, 2**31))
def test_two_classes_are_the_binary_cross_entropy(num_samples, seed):
    torch.manual_seed(seed)
    logits = torch.randn(num_samples, 2, dtype=torch.float64)
    target = torch.randint(2, (num_samples,))
    binary = F.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], target.double())
    torch.testing.assert_close(crossent.cross_entropy(logits, target), binary)


def test_the_naive_sum_in_float64_gives_the_same():
    torch.manual_seed(0)
    logits, weight = torch.randn(6, 4, dtype=torch.float64), torch.rand(4, dtype=torch.float64)
    target = torch.tensor([0, 3, -100, 1, 1, 2])
    total = counted = torch.zeros((), dtype=torch.float64)
    for z, k in zip(logits.tolist(), target.tolist(), strict=True):
        if k == -100:
            continue
        exponentials = torch.tensor(z, dtype=torch.float64).exp()
        y = exponentials / exponentials.sum()
        t = [0.9 * (j == k) + 0.1 / 4 for j in range(4)]
        total = total - sum(weight[j] * t[j] * y[j].log() for j in range(4))
        counted = counted + weight[k]
    ours = crossent.cross_entropy(logits, target, weight, label_smoothing=0.1)
    torch.testing.assert_close(ours, total / counted)
