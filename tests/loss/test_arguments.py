"""A wrong argument: the exception type of torch, and a sentence that says what to do."""

import pytest
import torch
from torch.nn import functional as F

import crossent

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
