"""PyTorch's own samples for its cross-entropy, run against ours."""

import warnings

import pytest
import torch

import crossent
from tests.loss.conftest import assert_like_torch

pytest.importorskip("expecttest", reason="torch's own samples need the package expecttest")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # these imports use deprecated parts of torch
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db
# The imports forbid this process to set flags such as cudnn.benchmark, which every training sets.
torch.backends.flags_frozen.__globals__["__allow_nonbracketed_mutation_flag"] = True
assert not torch.backends.flags_frozen()

OP = next(op for op in op_db if op.name == "nn.functional.cross_entropy")
MODULE = next(m for m in module_db if m.module_cls is torch.nn.CrossEntropyLoss)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_samples_of_the_function(dtype, way):
    samples = list(OP.sample_inputs("cpu", dtype, requires_grad=True))
    assert len(samples) > 15
    # bfloat16: torch rounds the log-probabilities and again the loss, to 8 bits each.
    tolerance = 2**-6 if dtype == torch.bfloat16 else None
    for sample in samples:
        assert_like_torch(sample.input, *sample.args, **sample.kwargs, tolerance=tolerance)


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
