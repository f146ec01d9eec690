"""Extreme numbers: infinities, nan, empty tensors, half precision and autocast."""

import math
from itertools import product

import pytest
import torch
from torch.nn import functional as F

import crossent
from tests.loss.conftest import assert_like_torch

INF, NAN = math.inf, math.nan
pytestmark = pytest.mark.usefixtures("way")


Z, INF_1, SMOOTHED = [[0.0, 1.0, 2.0]], [[0.0, -INF, 1.0]], {"label_smoothing": 0.1}
NO_WEIGHT = {"weight": torch.zeros(3)}
EXTREMES = {
    "another class -inf": (INF_1, [0], {}),
    "own class -inf": (INF_1, [1], {}),
    "own class -inf, weight 0": (INF_1, [1], {"weight": torch.tensor([1.0, 0.0, 1.0])}),
    "smoothing onto -inf": (INF_1, [0], SMOOTHED),
    "probability 0 on -inf": (INF_1, [[0.5, 0.0, 0.5]], {}),
    "probability on -inf": (INF_1, [[0.4, 0.2, 0.4]], {}),
    "+inf": ([[0.0, INF, 1.0]], [0], {}),
    "nan": ([[0.0, NAN, 1.0]], [0], {}),
    "all -inf": ([[-INF, -INF, -INF]], [0], {}),
    "huge": ([[3e38, -3e38, 0.0]], [1], {}),
    "large, shifted": ([[1e4, 1e4 + 1, 1e4 - 200]], [2], {}),
    "large negative": ([[-1e30, -2e30, 3.0]], [2], SMOOTHED),
    "all weights 0": (Z, [0], NO_WEIGHT),
    "all weights 0, smoothing": (Z, [0], NO_WEIGHT | SMOOTHED),
    "all weights 0, smoothing, soft": (Z, [[0.2, 0.3, 0.5]], NO_WEIGHT | SMOOTHED),
    "all ignored": (Z, [-100], {}),
    "all ignored, smoothing": (Z, [-100], SMOOTHED),
}


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize(("logits", "target", "settings"), EXTREMES.values(), ids=EXTREMES)
def test_extremes_are_those_of_torch(logits, target, settings, reduction):
    logits, target = torch.tensor(logits), torch.tensor(target)
    assert_like_torch(logits, target, reduction=reduction, **settings)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_an_ignored_row_has_no_effect_whatever_is_in_it(bad, label_smoothing):
    logits = torch.tensor([[0.5, 1.0, -1.0], [0.0, bad, 1.0]], requires_grad=True)
    target = torch.tensor([2, -100])
    loss = crossent.cross_entropy(logits, target, label_smoothing=label_smoothing)
    (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
    alone = crossent.cross_entropy(logits[:1], target[:1], label_smoothing=label_smoothing)
    torch.testing.assert_close(loss, alone)
    assert not gradient[1].any()
    (second,) = torch.autograd.grad(gradient.square().sum(), logits, retain_graph=True)
    (without_graph,) = torch.autograd.grad(loss, logits)
    assert not second[1].any() and not without_graph[1].any()


@pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0), (4, 0), (0, 0), (0,), (0, 0, 3)], ids=str)
def test_empty_tensors_give_what_torch_gives(shape, soft):
    indices = torch.full(shape[:1] + shape[2:] if len(shape) > 1 else (), -100)
    target = torch.zeros(shape) if soft else indices
    for reduction, label_smoothing in product(("mean", "sum", "none"), (0.0, 0.1)):
        settings = {"reduction": reduction, "label_smoothing": label_smoothing}
        assert_like_torch(torch.zeros(shape), target, **settings)


@pytest.mark.parametrize("target", [[0, 1, 2], [0, -100, 2], [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]])
@pytest.mark.parametrize("weight", [[-1.0, 2.0, 0.5], [-1.0, -2.0, -0.5], [0.0, -3.0, 1.0]])
def test_negative_weights_are_those_of_torch(weight, target):
    logits = torch.tensor([[0.3, -1.0, 2.0], [1.0, 2.0, 3.0], [0.0, 5.0, 1.0]])[: len(target)]
    for reduction, label_smoothing in product(("mean", "sum", "none"), (0.0, 0.1, 1.0)):
        settings = {"reduction": reduction, "label_smoothing": label_smoothing}
        assert_like_torch(logits, torch.tensor(target), torch.tensor(weight), **settings)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_mean_over_weights_that_cancel_is_not_finite(label_smoothing):
    logits = torch.tensor([[0.3, -1.0, 2.0]] * 2, requires_grad=True)
    settings = {"weight": torch.tensor([-1.0, 1.0, 0.0]), "label_smoothing": label_smoothing}
    for function in (crossent.cross_entropy, F.cross_entropy):
        loss = function(logits, torch.tensor([0, 1]), **settings)
        assert not loss.isfinite()
        assert not torch.autograd.grad(loss, logits)[0].isfinite().any()


def test_the_mean_of_float16_does_not_overflow():
    logits = torch.zeros(4096, 2, dtype=torch.float16)
    logits[:, 0] = 100  # the sum of E_n is 409600, more than float16 can hold
    loss = crossent.cross_entropy(logits, torch.ones(4096, dtype=torch.int64))
    assert loss.item() == 100


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
def test_autocast_raises_half_precision_to_float32(dtype, soft):
    target = torch.rand(6, 3).to(dtype) if soft else torch.randint(3, (6,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_like_torch(torch.randn(6, 3).to(dtype), target)
