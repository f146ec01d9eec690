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
    "indices": {"target": INDICES},
    "a class ignored": {"target": INDICES.abs() % 3, "ignore_index": 1},
    "probabilities": {"target": PROBABILITIES},
}
# Each pair of two arguments occurs; all 144 combinations take minutes.
PAIRS = [
    (way, kind, reduction, [None, WEIGHT][(w + k + r) % 2], [0.0, 0.2][(w // 2 + k + r) % 2])
    for (w, way), (k, kind), (r, reduction) in product(
        *map(enumerate, (WAYS, KINDS, ("mean", "sum", "none")))
    )
]


@pytest.mark.parametrize(
    ("way", "kind", "reduction", "weight", "label_smoothing"), PAIRS, indirect=["way"]
)
def test_gradcheck_passes_without_options(way, kind, reduction, weight, label_smoothing):
    settings = {"reduction": reduction, "weight": weight, "label_smoothing": label_smoothing}
    loss = functools.partial(crossent.cross_entropy, **KINDS[kind], **settings)
    logits = random_logits(4, 3)
    assert torch.autograd.gradcheck(loss, logits)
    assert torch.autograd.gradcheck(loss, logits, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(loss, logits)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_derivative_by_probabilities_and_by_weight(label_smoothing):
    inputs = (random_logits(4, 3), PROBABILITIES.clone(), WEIGHT.clone())
    for tensor in inputs:
        tensor.requires_grad_()

    def loss(logits, target, weight):
        return crossent.cross_entropy(logits, target, weight, label_smoothing=label_smoothing)

    assert torch.autograd.gradcheck(loss, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(loss, inputs)
    assert torch.autograd.gradcheck(lambda z, w: loss(z, INDICES, w), inputs[::2])


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


def test_transformations_of_torch_func():
    batches, targets = random_logits(5, 4, 3).detach(), torch.randint(3, (5, 4))
    results = []
    for function in (crossent.cross_entropy, F.cross_entropy):
        loss = functools.partial(function, target=targets[0], weight=WEIGHT)
        hessian = torch.func.hessian(loss)(batches[0])
        results.append((hessian, *torch.func.jvp(loss, (batches[0],), (batches[1],))))
    torch.testing.assert_close(*results)
    gradient = torch.func.grad(functools.partial(crossent.cross_entropy, weight=WEIGHT))
    each = [gradient(z, t) for z, t in zip(batches, targets, strict=True)]
    torch.testing.assert_close(torch.func.vmap(gradient)(batches, targets), torch.stack(each))


@pytest.mark.parametrize("target", [torch.rand(4, 3), INDICES], ids=["probabilities", "indices"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torch_compile_takes_it_whole(target):
    logits, weight = random_logits(4, 3, dtype=torch.float32), torch.tensor([1.0, 2.0, 0.5])
    # aot_eager: the whole tracing, forward and backward, without a C++ compiler at the end.
    compiled = torch.compile(crossent.cross_entropy, fullgraph=True, backend="aot_eager")
    results = []
    for function in (compiled, F.cross_entropy):
        loss = function(logits, target, weight, label_smoothing=0.1)
        results.append((loss, *torch.autograd.grad(loss, logits)))
    torch.testing.assert_close(*results)


def test_other_devices_use_the_plain_version():
    logits = torch.empty(4, 3, device="meta", requires_grad=True)
    loss = crossent.cross_entropy(logits, torch.empty(4, device="meta", dtype=torch.int64))
    assert loss.device.type == "meta"
    assert torch.autograd.grad(loss, logits)[0].shape == (4, 3)
