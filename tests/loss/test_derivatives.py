"""Derivatives of every kind: checked numerically, against torch, and through its transforms."""

import functools
import gc
import weakref
from itertools import product

import pytest
import torch
from torch.nn import functional as F

import crossent
from tests.loss.conftest import WAYS

# The forward mode of torch.func still loads torch.jit for itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")

INDICES = torch.tensor([0, 2, -100, 1])
PROBABILITIES = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
WEIGHT = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)


def random_logits(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, dtype=dtype, generator=generator).requires_grad_()


KINDS = {
    "indices": (INDICES, -100),
    "a class ignored": (INDICES.abs() % 3, 1),
    "probabilities": (PROBABILITIES, -100),
}
REDUCTIONS = ("mean", "sum", "none")
# Each pair of two arguments occurs; all 144 combinations take minutes.
PAIRS = [
    (way, kind, reduction, [None, WEIGHT][(w + k + r) % 2], [0.0, 0.2][(w // 2 + k + r) % 2])
    for (w, way), (k, kind), (r, reduction) in product(*map(enumerate, (WAYS, KINDS, REDUCTIONS)))
]


@pytest.mark.parametrize(
    ("way", "kind", "reduction", "weight", "label_smoothing"), PAIRS, indirect=["way"]
)
def test_gradcheck_passes_without_options(way, kind, reduction, weight, label_smoothing):
    target, ignore_index = KINDS[kind]

    def function(logits):
        return crossent.cross_entropy(
            logits, target, weight, ignore_index, reduction, label_smoothing
        )

    logits = random_logits(4, 3)
    assert torch.autograd.gradcheck(function, logits)
    assert torch.autograd.gradcheck(function, logits, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, logits)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_derivative_by_probabilities_and_by_weight(label_smoothing):
    logits, target, weight = random_logits(4, 3), PROBABILITIES.clone(), WEIGHT.clone()
    inputs = (logits, target.requires_grad_(), weight.requires_grad_())

    def function(logits, target, weight):
        return crossent.cross_entropy(logits, target, weight, label_smoothing=label_smoothing)

    ours = torch.autograd.grad(function(*inputs), inputs)
    loss = F.cross_entropy(logits, target, weight, label_smoothing=label_smoothing)
    torch.testing.assert_close(ours, torch.autograd.grad(loss, inputs))
    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, inputs)
    # torch has no such derivative to compare with.
    assert torch.autograd.gradcheck(lambda w: function(logits, INDICES, w), weight)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(4, 3), (4, 40), (4, 3, 5)], ids=str)
def test_a_retained_graph_gives_the_same_bits_again(dtype, shape, way):
    logits, factor = random_logits(*shape, dtype=dtype), torch.tensor(0.3, dtype=dtype)
    targets = (logits.detach().softmax(1), torch.ones(4, *shape[2:], dtype=torch.int64))
    for target, reduction in product(targets, ("mean", "none")):
        loss = crossent.cross_entropy(logits, target, None, -100, reduction, 0.1).sum()
        (first,) = torch.autograd.grad(loss, logits, factor, retain_graph=True)
        kept = first.clone()
        first.zero_()  # the caller may change the gradient
        for _ in range(2):
            (again,) = torch.autograd.grad(loss, logits, factor, retain_graph=True)
            assert torch.equal(again, kept)


def test_the_gradient_of_a_leaf_is_not_copied_and_not_kept(way):
    logits = random_logits(4, 3)
    loss = crossent.cross_entropy(logits, torch.tensor([0, 2, 1, 1]))
    loss.backward()
    assert logits.grad is not None
    gone = weakref.ref(logits.grad)
    logits.grad = None
    gc.collect()
    assert gone() is None, "the loss still holds the gradient that it returned"
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_without_gradients_none_is_formed(monkeypatch):
    def forbidden(*_):
        raise AssertionError("a gradient was formed")

    monkeypatch.setattr(torch, "empty_like", forbidden)
    logits, target = random_logits(4, 3), torch.tensor([0, 2, 1, 1])
    with torch.no_grad():
        loss = crossent.cross_entropy(logits, target, reduction="sum")
    assert not loss.requires_grad
    assert crossent.cross_entropy(logits.detach(), target, reduction="sum") == loss
    with pytest.raises(AssertionError, match="was formed"):
        crossent.cross_entropy(logits, target, reduction="sum")


def test_transformations_of_torch_func():
    batches = random_logits(5, 4, 3).detach()
    targets = torch.randint(3, (5, 4))
    loss, weight = crossent.cross_entropy, WEIGHT
    mapped = torch.func.vmap(torch.func.grad(lambda z, t: loss(z, t, weight)))(batches, targets)
    rows = zip(batches, targets, strict=True)
    each = [torch.func.grad(lambda z, t: F.cross_entropy(z, t, weight))(z, t) for z, t in rows]
    torch.testing.assert_close(mapped, torch.stack(each))
    hessians, tangents = [], []
    for function in (crossent.cross_entropy, F.cross_entropy):
        of_logits = functools.partial(function, target=targets[0])
        hessians.append(torch.func.hessian(of_logits)(batches[0]))
        tangents.append(torch.func.jvp(of_logits, (batches[0],), (batches[1],)))
    torch.testing.assert_close(*hessians)
    torch.testing.assert_close(*tangents)


@pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torch_compile_takes_it_whole(soft):
    logits = random_logits(6, 3, dtype=torch.float32)
    target = torch.rand(6, 3) if soft else torch.tensor([0, 1, 2, -100, 1, 0])
    weight = torch.tensor([1.0, 2.0, 0.5])
    # aot_eager: the whole tracing, forward and backward, without a C++ compiler at the end.
    compiled = torch.compile(crossent.cross_entropy, fullgraph=True, backend="aot_eager")
    ours = compiled(logits, target, weight, label_smoothing=0.1)
    theirs = F.cross_entropy(logits, target, weight, label_smoothing=0.1)
    torch.testing.assert_close(ours, theirs)
    (our_gradient,) = torch.autograd.grad(ours, logits)
    torch.testing.assert_close(our_gradient, torch.autograd.grad(theirs, logits)[0])


def test_other_devices_use_the_plain_version():
    logits = torch.empty(4, 3, device="meta", requires_grad=True)
    loss = crossent.cross_entropy(logits, torch.empty(4, device="meta", dtype=torch.int64))
    assert loss.device.type == "meta"
    assert torch.autograd.grad(loss, logits)[0].shape == (4, 3)
