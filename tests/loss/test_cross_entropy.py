"""Value and gradient of the loss against torch's, for every combination of arguments."""

import importlib

import pytest
import torch
from torch.nn import functional as F

import crossent
import crossent.loss
from tests.loss.conftest import assert_like_torch

SHAPES = {"K": (3,), "NK": (5, 3), "NKd": (4, 3, 2), "NKdd": (2, 3, 4, 5), "K=1": (4, 1)}


def test_the_name_is_the_function_also_when_its_module_was_imported():
    module = importlib.import_module("crossent.loss.cross_entropy")
    assert crossent.cross_entropy is crossent.loss.cross_entropy is module.cross_entropy
    assert callable(crossent.cross_entropy)


def make_target(kind, shape, dtype=None):
    if kind == "probabilities":
        return torch.rand(shape).softmax(min(1, len(shape) - 1)).to(dtype)
    classes = shape[min(1, len(shape) - 1)]
    target = torch.randint(classes, shape[:1] + shape[2:] if len(shape) > 1 else ())
    if kind == "some ignored":
        target = torch.where(torch.rand(target.shape) < 0.4, -100, target)
    return target


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("kind", ["indices", "some ignored", "probabilities"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_value_and_gradient_are_those_of_torch(shape, kind, weighted, reduction, way):
    torch.manual_seed(0)
    logits = 5 * torch.randn(shape, dtype=torch.float64)
    target = make_target(kind, shape, torch.float64)
    weight = torch.rand(logits.shape[min(1, len(shape) - 1)]).double() if weighted else None
    for label_smoothing in (0.0, 0.1, 1.0):
        settings = {"weight": weight, "reduction": reduction, "label_smoothing": label_smoothing}
        assert_like_torch(logits, target, **settings)


def test_the_module_is_the_function_with_its_settings():
    torch.manual_seed(0)
    logits, target, weight = torch.randn(6, 3), torch.randint(3, (6,)), torch.rand(3)
    criterion = crossent.CrossEntropyLoss(weight, 1, "sum", 0.2)
    expected = crossent.cross_entropy(logits, target, weight, 1, "sum", 0.2)
    assert torch.equal(criterion(logits, target), expected)
    assert list(criterion.state_dict()) == ["weight"]
    assert list(crossent.CrossEntropyLoss().state_dict()) == []
    assert criterion.double().state_dict()["weight"].dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["indices", "probabilities"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_dtype_is_less_exact_than_in_torch(dtype, kind, reduction, way):
    torch.manual_seed(0)
    logits = (4 * torch.randn(64, 10)).to(dtype).requires_grad_()
    target = make_target(kind, (64, 10), dtype)
    exact_target = target.double() if kind == "probabilities" else target
    exact_logits = logits.detach().double().requires_grad_()
    truth = F.cross_entropy(exact_logits, exact_target, reduction=reduction)
    (true_gradient,) = torch.autograd.grad(truth.sum(), exact_logits)
    errors = {}
    for name, function in (("ours", crossent.cross_entropy), ("torch", F.cross_entropy)):
        loss = function(logits, target, reduction=reduction)
        assert loss.dtype == dtype
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        errors[name] = ((loss - truth).abs().max(), (gradient - true_gradient).abs().max())
    # One rounding of the result is the best possible; torch may be that exact by chance.
    eps = torch.finfo(dtype).eps
    for ours, torchs, true in zip(*errors.values(), (truth, true_gradient), strict=True):
        assert ours <= max(torchs, 2 * eps * true.abs().max())


@pytest.mark.parametrize(
    ("logits", "target"),
    [
        (torch.randn(3, 8).t(), torch.randint(3, (8,))),
        (torch.randn(8, 6)[:, ::2], torch.randint(3, (16,))[::2]),
        (torch.randn(1, 3).expand(8, 3), torch.randint(3, (8,))),
        (torch.randn(4, 5, 2, 3).permute(0, 3, 1, 2), torch.randint(3, (4, 2, 5)).transpose(1, 2)),
        (torch.randn(4, 3, 4, 6)[..., ::2], torch.randint(3, (4, 4, 3))),
        (torch.randn(8, 3), torch.rand(3, 8).t()),
        (torch.randn(8, 3), torch.randint(3, (8,), dtype=torch.uint8)),
    ],
    ids=["transposed", "strided", "expanded", "channels last", "strided pixels", "soft", "uint8"],
)
def test_any_memory_layout_gives_the_values_of_torch(logits, target, way):
    assert_like_torch(logits, target)


@pytest.mark.parametrize("target_dtype", [torch.float16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_probabilities_of_another_dtype_give_the_dtype_of_torch(dtype, target_dtype, way):
    logits, target = torch.randn(4, 3, dtype=dtype), torch.rand(4, 3, dtype=target_dtype)
    assert_like_torch(logits, target, tolerance=2**-7)


@pytest.mark.parametrize("shape", [(300, 4000), (2, 5, 700, 500)], ids=["rows", "pixels"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_many_real_blocks_agree_with_torch(shape, label_smoothing):
    torch.manual_seed(0)
    target, weight = make_target("some ignored", shape), torch.rand(shape[1])
    assert_like_torch(torch.randn(shape), target, weight, label_smoothing=label_smoothing)


def test_a_gradient_scaler_reaches_float16_before_it_underflows():
    logits = torch.zeros(1 << 16, 3, dtype=torch.float16, requires_grad=True)
    loss = crossent.cross_entropy(logits, torch.zeros(1 << 16, dtype=torch.int64))
    (gradient,) = torch.autograd.grad(loss, logits, torch.tensor(2.0**15, dtype=torch.float16))
    expected = torch.tensor([-2 / 3, 1 / 3, 1 / 3]) / 2  # without the factor about 1e-5: few digits
    torch.testing.assert_close(gradient[0].float(), expected, rtol=2**-10, atol=0)
