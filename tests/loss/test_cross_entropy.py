"""The loss against torch's own, in value and gradient, over the whole product of arguments."""

import pytest
import torch
from torch.nn import functional as F

import crossent

SHAPES = {"K": (3,), "NK": (5, 3), "NKd": (4, 3, 2), "NKdd": (2, 3, 4, 5), "K=1": (4, 1)}


def make_target(kind, shape):
    if kind == "probabilities":
        return torch.rand(shape).softmax(min(1, len(shape) - 1))
    classes = shape[min(1, len(shape) - 1)]
    target = torch.randint(classes, shape[:1] + shape[2:] if len(shape) > 1 else ())
    if kind == "some ignored":
        target = torch.where(torch.rand(target.shape) < 0.4, -100, target)
    return target


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("kind", ["indices", "some ignored", "probabilities"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_value_and_gradient_are_those_of_torch(shape, kind, weighted, reduction, label_smoothing):
    torch.manual_seed(0)
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    target = make_target(kind, shape)
    if kind == "probabilities":
        target = target.double()
    weight = torch.rand(logits.shape[min(1, len(shape) - 1)]).double() if weighted else None
    settings = {"weight": weight, "reduction": reduction, "label_smoothing": label_smoothing}
    ours = crossent.cross_entropy(logits, target, **settings)
    theirs = F.cross_entropy(logits, target, **settings)
    torch.testing.assert_close(ours, theirs, equal_nan=True)
    (our_grad,) = torch.autograd.grad(ours.square().sum(), logits)
    (their_grad,) = torch.autograd.grad(theirs.square().sum(), logits)
    torch.testing.assert_close(our_grad, their_grad, equal_nan=True)


def test_the_article_s_example():
    logits = torch.tensor([[0.33, 0.32, 0.35]], dtype=torch.float64).log()
    loss = crossent.cross_entropy(logits, torch.tensor([0]))
    assert loss.item() == pytest.approx(1.108663, abs=5e-7)


def test_the_module_is_the_function_with_its_settings():
    torch.manual_seed(0)
    logits, target, weight = torch.randn(6, 3), torch.randint(3, (6,)), torch.rand(3)
    criterion = crossent.CrossEntropyLoss(weight, 1, "sum", 0.2)
    expected = crossent.cross_entropy(logits, target, weight, 1, "sum", 0.2)
    assert torch.equal(criterion(logits, target), expected)
    assert list(criterion.state_dict()) == ["weight"]
    assert list(crossent.CrossEntropyLoss().state_dict()) == []
    assert criterion.double().state_dict()["weight"].dtype == torch.float64
