"""PyTorch's own samples for its cross-entropy, run against ours."""

import warnings

import pytest
import torch
from torch.nn import functional as F

import crossent

pytest.importorskip("expecttest", reason="torch's own samples need the package expecttest")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch warns of its own affairs while these are imported
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db
# They forbid the whole process to set flags such as cudnn.benchmark, which every training sets.
torch.backends.flags_frozen.__globals__["__allow_nonbracketed_mutation_flag"] = True
assert not torch.backends.flags_frozen()

OP = next(op for op in op_db if op.name == "nn.functional.cross_entropy")
MODULE = next(m for m in module_db if m.module_cls is torch.nn.CrossEntropyLoss)


def assert_close(ours, theirs):
    # bfloat16: torch rounds the log-probabilities and again the loss, to 8 bits each.
    tolerance = 2**-6 if ours.dtype == torch.bfloat16 else None
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_samples_of_the_function(dtype, way):
    samples = list(OP.sample_inputs("cpu", dtype, requires_grad=True))
    assert len(samples) > 15
    for sample in samples:
        ours = crossent.cross_entropy(sample.input, *sample.args, **sample.kwargs)
        theirs = F.cross_entropy(sample.input, *sample.args, **sample.kwargs)
        assert_close(ours, theirs)
        gradients = [torch.autograd.grad(loss.sum(), sample.input)[0] for loss in (ours, theirs)]
        assert_close(*gradients)


def test_samples_of_the_module(way):
    samples = MODULE.module_inputs_func(
        MODULE, device="cpu", dtype=torch.float64, requires_grad=True, training=True
    )
    assert len(samples) > 10
    for sample in samples:
        made, called = sample.constructor_input, sample.forward_input
        ours = crossent.CrossEntropyLoss(*made.args, **made.kwargs)(*called.args, **called.kwargs)
        theirs = torch.nn.CrossEntropyLoss(*made.args, **made.kwargs)(*called.args, **called.kwargs)
        torch.testing.assert_close(ours, theirs, equal_nan=True)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
def test_second_derivative_and_forward_mode_of_the_samples():
    for sample in OP.sample_inputs("cpu", torch.float64, requires_grad=True):

        def ours(logits, sample=sample):
            return crossent.cross_entropy(logits, *sample.args, **sample.kwargs)

        if ours(sample.input).isfinite().all():
            assert torch.autograd.gradcheck(ours, sample.input, check_forward_ad=True)
            assert torch.autograd.gradgradcheck(ours, sample.input)


def test_error_types_of_the_samples():
    errors = MODULE.module_error_inputs_func(
        MODULE, device="cpu", dtype=torch.float64, requires_grad=False, training=True
    )
    assert errors
    for error in errors:
        made = error.module_error_input.constructor_input
        called = error.module_error_input.forward_input
        with pytest.raises(error.error_type):
            crossent.CrossEntropyLoss(*made.args, **made.kwargs)(*called.args, **called.kwargs)
