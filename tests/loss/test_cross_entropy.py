"""Value and gradient of the loss against torch's: all arguments, mistakes and extreme numbers."""

import math
import warnings
from itertools import product

import pytest
import torch
from torch.nn import functional as F

import crossent
from tests.loss.conftest import assert_like_torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # these imports use deprecated parts of torch
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db
# The imports forbid this process to set flags such as cudnn.benchmark, which every training sets.
torch.backends.flags_frozen.__globals__["__allow_nonbracketed_mutation_flag"] = True
assert not torch.backends.flags_frozen()

OP = next(op for op in op_db if op.name == "nn.functional.cross_entropy")
MODULE = next(m for m in module_db if m.module_cls is torch.nn.CrossEntropyLoss)
SHAPES = {"K": (3,), "NK": (5, 3), "NKd": (4, 3, 2), "NKdd": (2, 3, 4, 5), "K=1": (4, 1)}


def make_target(kind, shape, dtype=None):
    if kind == "probabilities":
        return torch.rand(shape).softmax(min(1, len(shape) - 1)).to(dtype)
    classes = shape[min(1, len(shape) - 1)]
    target = torch.randint(classes, shape[:1] + shape[2:] if len(shape) > 1 else ())
    if kind == "some ignored":
        target = torch.where(torch.rand(target.shape) < 0.4, -100, target)
    return target


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("kind", ["indices", "some ignored", "probabilities"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_value_and_gradient_are_those_of_torch(shape, kind, weighted, way):
    torch.manual_seed(0)
    logits = 5 * torch.randn(shape, dtype=torch.float64)
    target = make_target(kind, shape, torch.float64)
    weight = torch.rand(logits.shape[min(1, len(shape) - 1)]).double() if weighted else None
    for reduction, label_smoothing in product(("mean", "sum", "none"), (0.0, 0.1, 1.0)):
        settings = {"reduction": reduction, "label_smoothing": label_smoothing}
        assert_like_torch(logits, target, weight, **settings)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_samples_of_pytorch(dtype, way):
    samples = list(OP.sample_inputs("cpu", dtype, requires_grad=True))
    assert len(samples) > 15
    # bfloat16: torch rounds the log-probabilities and again the loss, to 8 bits each.
    tolerance = 2**-6 if dtype == torch.bfloat16 else None
    for sample in samples:
        assert_like_torch(sample.input, *sample.args, **sample.kwargs, tolerance=tolerance)


def test_error_types_of_the_samples_of_pytorch():
    errors = MODULE.module_error_inputs_func(
        MODULE, device="cpu", dtype=torch.float64, requires_grad=False, training=True
    )
    assert errors
    for error in errors:
        made = error.module_error_input.constructor_input
        called = error.module_error_input.forward_input
        with pytest.raises(error.error_type):
            crossent.CrossEntropyLoss(*made.args, **made.kwargs)(*called.args, **called.kwargs)


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
    exact = logits.detach().double().requires_grad_()
    exact_target = target.double() if kind == "probabilities" else target
    truth = F.cross_entropy(exact, exact_target, reduction=reduction)
    truths = (truth, *torch.autograd.grad(truth.sum(), exact))
    errors = []
    for function in (crossent.cross_entropy, F.cross_entropy):
        loss = function(logits, target, reduction=reduction)
        assert loss.dtype == dtype
        found = (loss, *torch.autograd.grad(loss.sum(), logits))
        errors.append([(a - b).abs().max() for a, b in zip(found, truths, strict=True)])
    # One rounding of the result is the best possible; torch may be that exact by chance.
    eps = torch.finfo(dtype).eps
    for ours, torchs, true in zip(*errors, truths, strict=True):
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


@pytest.mark.parametrize("target_dtype", [None, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_mixed_dtypes_and_autocast_give_the_dtype_of_torch(dtype, target_dtype, way):
    logits, target = torch.randn(4, 3, dtype=dtype), torch.rand(4, 3, dtype=target_dtype)
    if target_dtype is None:
        target = torch.randint(3, (4,))
    for is_on in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_on):
            assert_like_torch(logits, target, tolerance=None if is_on else 2**-7)


@pytest.mark.parametrize("shape", [(300, 4000), (2, 5, 700, 500)], ids=["rows", "pixels"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_many_real_blocks_agree_with_torch(shape, label_smoothing):
    torch.manual_seed(0)
    target, weight = make_target("some ignored", shape), torch.rand(shape[1])
    assert_like_torch(torch.randn(shape), target, weight, label_smoothing=label_smoothing)


def test_float16_neither_overflows_nor_underflows_on_the_way(way):
    logits = torch.zeros(4096, 2, dtype=torch.float16)
    logits[:, 0] = 100  # the sum of E_n is 409600, more than float16 can hold
    assert crossent.cross_entropy(logits, torch.ones(4096, dtype=torch.int64)) == 100
    logits = torch.zeros(1 << 14, 3, dtype=torch.float16, requires_grad=True)
    loss = crossent.cross_entropy(logits, torch.zeros(1 << 14, dtype=torch.int64))
    scale = torch.tensor(2.0**13, dtype=torch.float16)  # of a GradScaler
    (gradient,) = torch.autograd.grad(loss, logits, scale)
    expected = torch.tensor([-2 / 3, 1 / 3, 1 / 3]) / 2  # without the scale 4e-5: few digits
    torch.testing.assert_close(gradient[0].float(), expected, rtol=2**-10, atol=0)


INF, NAN = math.inf, math.nan
ROW, INF_1 = [[0.0, 1.0, 2.0]], [[0.0, -INF, 1.0]]
ROWS = [[0.3, -1.0, 2.0], [1.0, 2.0, 3.0], [0.0, 5.0, 1.0]]
SOFT = [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]


def weights(*numbers):
    return {"weight": torch.tensor(numbers)}


EXTREMES = {
    "another class -inf": (INF_1, [0], {}),
    "own class -inf": (INF_1, [1], {}),
    "own class -inf, weight 0": (INF_1, [1], weights(1.0, 0.0, 1.0) | {"label_smoothing": 0.0}),
    "probability 0 on -inf": (INF_1, [[0.5, 0.0, 0.5]], {}),
    "probability on -inf": (INF_1, [[0.4, 0.2, 0.4]], {}),
    "+inf": ([[0.0, INF, 1.0]], [0], {}),
    "nan": ([[0.0, NAN, 1.0]], [0], {}),
    "all -inf": ([[-INF, -INF, -INF]], [0], {}),
    "huge": ([[3e38, -3e38, 0.0]], [1], {}),
    "large, shifted": ([[1e4, 1e4 + 1, 1e4 - 200]], [2], {}),
    "large negative": ([[-1e30, -2e30, 3.0]], [2], {}),
    "all weights 0": (ROW, [0], weights(0.0, 0.0, 0.0)),
    "all weights 0, soft": (ROW, [[0.2, 0.3, 0.5]], weights(0.0, 0.0, 0.0)),
    "all ignored": (ROW, [-100], {}),
    "a negative weight": (ROWS, [0, 1, 2], weights(-1.0, 2.0, 0.5)),
    "negative weights": (ROWS, [0, 1, 2], weights(-1.0, -2.0, -0.5)),
    "negative weights, one ignored": (ROWS, [0, -100, 2], weights(-1.0, -3.0, 0.0)),
    "negative weights, soft": (ROWS, SOFT, weights(-1.0, -2.0, 0.5)),
}


@pytest.mark.parametrize(("logits", "target", "settings"), EXTREMES.values(), ids=EXTREMES)
def test_extremes_are_those_of_torch(logits, target, settings, way):
    logits, target = torch.tensor(logits), torch.tensor(target)
    for reduction, label_smoothing in product(("mean", "sum", "none"), (0.0, 0.1)):
        more = {"reduction": reduction, "label_smoothing": label_smoothing} | settings
        assert_like_torch(logits, target, **more)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_an_ignored_row_has_no_effect_whatever_is_in_it(bad, way):
    logits = torch.tensor([[0.5, 1.0, -1.0], [0.0, bad, 1.0]], requires_grad=True)
    target = torch.tensor([2, -100])
    for label_smoothing in (0.0, 0.1):
        loss = crossent.cross_entropy(logits, target, label_smoothing=label_smoothing)
        alone = crossent.cross_entropy(logits[:1], target[:1], label_smoothing=label_smoothing)
        torch.testing.assert_close(loss, alone)
        (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
        (second,) = torch.autograd.grad(gradient.square().sum(), logits, retain_graph=True)
        (without_graph,) = torch.autograd.grad(loss, logits)
        assert not gradient[1].any() and not second[1].any() and not without_graph[1].any()


@pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0), (4, 0), (0, 0), (0,), (0, 0, 3)], ids=str)
def test_empty_tensors_give_what_torch_gives(shape, soft, way):
    indices = torch.full(shape[:1] + shape[2:] if len(shape) > 1 else (), -100)
    target = torch.zeros(shape) if soft else indices
    for reduction, label_smoothing in product(("mean", "sum", "none"), (0.0, 0.1)):
        tensors = torch.zeros(shape), target
        assert_like_torch(*tensors, reduction=reduction, label_smoothing=label_smoothing)


Z, T = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
PIXELS, WRONG_PIXEL = torch.randn(2, 3, 4), torch.tensor([[0, 1, 2, 0], [0, -100, 0, 5]])
MISTAKES = {
    "list": ([[[1.0]], T], {}, "input is a list; expected a torch.Tensor"),
    "list as target": ([Z, [0, 1, 2, 0]], {}, "target is a list"),
    "list as weight": ([Z, T, [1.0] * 3], {}, "weight is a list"),
    "reduction": ([Z, T], {"reduction": "avg"}, "reduction is 'avg'; expected 'mean', 'sum' or"),
    "smoothing": ([Z, T], {"label_smoothing": 1.1}, "label_smoothing is 1.1; expected a number"),
    "column": ([Z, T[:, None]], {}, r"\(4, 1\); expected \(4,\) class indices or \(4, 3\) pr"),
    "another batch": ([Z, T[:3]], {}, r"target has shape \(3,\); expected \(4,\) class indices"),
    "two for one sample": ([Z[0], T[:2]], {}, r"target has shape \(2,\); expected \(\)"),
    "pixels": ([PIXELS, torch.zeros(2, 5).long()], {}, r"expected \(2, 4\) class"),
    "int32": ([Z, T.int()], {}, "target has dtype torch.int32; expected class indices in int64"),
    "float indices": ([Z, T.float()], {}, "target has dtype torch.float32; expected class indices"),
    "long probabilities": ([Z, torch.ones(4, 3).long()], {}, r"probabilities of shape \(4, 3\)"),
    "integer logits": ([Z.long(), T], {}, "input has dtype torch.int64; expected floating-point"),
    "complex logits": ([Z.to(torch.complex64), T], {}, "input has dtype torch.complex64"),
    "weights": ([Z, T, torch.ones(4)], {}, r"weight has shape \(4,\); expected \(3,\), one weight"),
    "soft, ignored": ([Z, Z.softmax(1)], {"ignore_index": 1}, "ignore_index is 1, but target"),
    "too large": ([Z, T + 1], {}, r"target\[2\] is 3; expected a class index from 0 to 2"),
    "negative": ([Z, T - 1], {}, r"target\[0\] is -1; expected a class index from 0 to 2"),
    "at a pixel": ([PIXELS, WRONG_PIXEL], {}, r"target\[1, 3\] is 5; .* or ignore_index \(-100\)"),
}


@pytest.mark.parametrize(("arguments", "settings", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_has_torch_s_exception_and_our_sentence(arguments, settings, message, way):
    with pytest.raises(Exception) as theirs:  # noqa: PT011  # only its type matters
        F.cross_entropy(*arguments, **settings)
    with pytest.raises(Exception, match=message) as ours:
        crossent.cross_entropy(*arguments, **settings)
    assert type(ours.value) is type(theirs.value)
    assert "\n" not in str(ours.value)


def test_a_negative_smoothing_is_refused_and_weights_of_another_dtype_are_taken_unlike_in_torch():
    with pytest.raises(RuntimeError, match=r"label_smoothing is -0\.1"):
        crossent.cross_entropy(Z, T, label_smoothing=-0.1)
    weight = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    found = crossent.cross_entropy(Z, T, weight)
    torch.testing.assert_close(found, F.cross_entropy(Z.double(), T, weight), rtol=1e-6, atol=1e-6)
