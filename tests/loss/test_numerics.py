"""Where numbers get extreme: infinities, nan, emptiness, half precision and autocast."""

import math
from itertools import product

import pytest
import torch
from torch.nn import functional as F

import crossent

INF, NAN = math.inf, math.nan
pytestmark = pytest.mark.usefixtures("way")


def loss_and_gradient(function, logits, target, **settings):
    logits = torch.tensor(logits, requires_grad=True)
    loss = function(logits, torch.tensor(target), **settings)
    return loss.detach(), torch.autograd.grad(loss.sum(), logits)[0]


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize(
    ("logits", "target", "settings"),
    [
        ([[0.0, -INF, 1.0]], [0], {}),
        ([[0.0, -INF, 1.0]], [1], {}),
        ([[0.0, -INF, 1.0]], [1], {"weight": torch.tensor([1.0, 0.0, 1.0])}),
        ([[0.0, -INF, 1.0]], [0], {"label_smoothing": 0.1}),
        ([[0.0, -INF, 1.0]], [[0.5, 0.0, 0.5]], {}),
        ([[0.0, -INF, 1.0]], [[0.4, 0.2, 0.4]], {}),
        ([[0.0, INF, 1.0]], [0], {}),
        ([[0.0, NAN, 1.0]], [0], {}),
        ([[-INF, -INF, -INF]], [0], {}),
        ([[3e38, -3e38, 0.0]], [0], {}),
        ([[3e38, -3e38, 0.0]], [1], {}),
        ([[1e4, 1e4 + 1, 1e4 - 200]], [2], {}),
        ([[-1e30, -2e30, 3.0]], [2], {"label_smoothing": 0.2}),
        ([[0.0, 1.0, 2.0]], [0], {"weight": torch.zeros(3)}),
        ([[0.0, 1.0, 2.0]], [0], {"weight": torch.zeros(3), "label_smoothing": 0.1}),
        ([[0.0, 1.0, 2.0]], [[0.2, 0.3, 0.5]], {"weight": torch.zeros(3), "label_smoothing": 0.1}),
        ([[0.0, 1.0, 2.0]], [-100], {}),
        ([[0.0, 1.0, 2.0]], [-100], {"label_smoothing": 0.1}),
    ],
    ids=[
        "another class -inf", "own class -inf", "own class -inf, weight 0", "smoothing onto -inf",
        "probability 0 on -inf", "probability on -inf", "+inf", "nan", "all -inf", "huge, right",
        "huge, wrong", "large, shifted", "large negative", "all weights 0",
        "all weights 0, smoothing", "all weights 0, smoothing, soft", "all ignored",
        "all ignored, smoothing",
    ],
)  # fmt: skip
def test_extremes_are_those_of_torch(logits, target, settings, reduction):
    ours = loss_and_gradient(
        crossent.cross_entropy, logits, target, reduction=reduction, **settings
    )
    theirs = loss_and_gradient(F.cross_entropy, logits, target, reduction=reduction, **settings)
    torch.testing.assert_close(ours, theirs, equal_nan=True)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_an_ignored_row_has_no_part_whatever_is_in_it(bad, label_smoothing):
    logits = torch.tensor([[0.5, 1.0, -1.0], [0.0, bad, 1.0]], requires_grad=True)
    target = torch.tensor([2, -100])
    loss = crossent.cross_entropy(logits, target, label_smoothing=label_smoothing)
    (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
    alone = crossent.cross_entropy(logits[:1], target[:1], label_smoothing=label_smoothing)
    torch.testing.assert_close(loss, alone)
    assert torch.equal(gradient[1], torch.zeros(3))
    (second,) = torch.autograd.grad(gradient.square().sum(), logits)
    assert torch.equal(second[1], torch.zeros(3))
    (plainly,) = torch.autograd.grad(
        crossent.cross_entropy(logits, target, label_smoothing=label_smoothing), logits
    )
    assert torch.equal(plainly[1], torch.zeros(3))


@pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0), (4, 0), (0, 0), (0,), (0, 0, 3)], ids=str)
def test_nothing_to_add_up_is_that_of_torch(shape, soft):
    logits = torch.zeros(shape, requires_grad=True)
    indices = torch.full(shape[:1] + shape[2:] if len(shape) > 1 else (), -100)
    target = torch.zeros(shape) if soft else indices
    for reduction, label_smoothing in product(("mean", "sum", "none"), (0.0, 0.1)):
        settings = {"reduction": reduction, "label_smoothing": label_smoothing}
        ours = crossent.cross_entropy(logits, target, **settings)
        theirs = F.cross_entropy(logits, target, **settings)
        torch.testing.assert_close(ours, theirs, equal_nan=True)
        assert torch.autograd.grad(ours.sum(), logits)[0].shape == shape


@pytest.mark.parametrize("target", [[0, 1, 2], [0, -100, 2], [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]])
@pytest.mark.parametrize("weight", [[-1.0, 2.0, 0.5], [-1.0, -2.0, -0.5], [0.0, -3.0, 1.0]])
def test_negative_weights_are_those_of_torch(weight, target):
    logits = [[0.3, -1.0, 2.0], [1.0, 2.0, 3.0], [0.0, 5.0, 1.0]][: len(target)]
    for reduction, label_smoothing in product(("mean", "sum", "none"), (0.0, 0.1, 1.0)):
        settings = {"reduction": reduction, "label_smoothing": label_smoothing}
        settings["weight"] = torch.tensor(weight)
        ours = loss_and_gradient(crossent.cross_entropy, logits, target, **settings)
        theirs = loss_and_gradient(F.cross_entropy, logits, target, **settings)
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_mean_over_weights_that_cancel_is_not_finite(label_smoothing):
    settings = {"weight": torch.tensor([-1.0, 1.0, 0.0]), "label_smoothing": label_smoothing}
    for function in (crossent.cross_entropy, F.cross_entropy):
        loss, gradient = loss_and_gradient(function, [[0.3, -1.0, 2.0]] * 2, [0, 1], **settings)
        assert not loss.isfinite()
        assert not gradient.isfinite().any()


def test_the_mean_of_float16_does_not_overflow():
    logits = torch.zeros(4096, 2, dtype=torch.float16)
    logits[:, 0] = 100  # the sum of E_n is 409600, more than float16 can hold
    loss = crossent.cross_entropy(logits, torch.ones(4096, dtype=torch.int64))
    assert loss.item() == 100


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
def test_autocast_raises_half_precision_to_float32(dtype, soft):
    logits = torch.randn(6, 3).to(dtype).requires_grad_()
    target = torch.rand(6, 3).to(dtype) if soft else torch.randint(3, (6,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = crossent.cross_entropy(logits, target)
        theirs = F.cross_entropy(logits, target)
    torch.testing.assert_close(ours, theirs)  # dtype included
    (our_gradient,) = torch.autograd.grad(ours, logits)
    (their_gradient,) = torch.autograd.grad(theirs, logits)
    torch.testing.assert_close(our_gradient, their_gradient)
