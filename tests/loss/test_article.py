"""The article's equations on plain numbers, and against the loss of training."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import crossent
from crossent.loss import article

PROBS, TARGET = (0.33, 0.32, 0.35), (1, 0, 0)


def test_the_numbers_of_the_article():
    for unit, value in (("nats", 1.108663), ("bits", 1.599462), ("dits", 0.481486)):
        E = article.cross_entropy(PROBS, TARGET, unit)
        assert E == pytest.approx(value, abs=5e-7)
        assert article.log_likelihood(PROBS, TARGET, unit) == -E
    assert article.baseline(3) == pytest.approx(1.098612, abs=5e-7)
    assert article.perplexity(article.baseline(3)) == pytest.approx(3)
    assert article.cross_entropy([1 / 3] * 3, TARGET) == pytest.approx(article.baseline(3))
    assert article.gradient(PROBS, TARGET) == pytest.approx([-0.67, 0.32, 0.35])
    frequencies = (3, 0, 2)  # of a die thrown several times: a product of powers
    assert article.likelihood(PROBS, TARGET) == 0.33
    likelihood = article.likelihood(PROBS, frequencies)
    assert likelihood == pytest.approx(0.33**3 * 0.35**2)
    assert article.log_likelihood(PROBS, frequencies) == pytest.approx(math.log(likelihood))
    assert article.likelihood((1.0, 0.0), (1, 0)) == 1  # 0^0 = 1
    assert str(article.cross_entropy((1.0, 0.0), (1, 0))) == "0.0"  # 0 log 0 = 0, and not -0.0
    assert article.likelihood((0.0, 1.0), (1, 0)) == 0
    assert article.cross_entropy((0.0, 1.0), (1, 0)) == math.inf


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(0.01, 1)), min_size=1, max_size=8))
def test_training_uses_the_same_numbers(pairs):
    logits = torch.tensor([[z for z, _ in pairs]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[t for _, t in pairs]], dtype=torch.float64)
    target = target / target.sum()
    loss = crossent.cross_entropy(logits, target)
    (gradient,) = torch.autograd.grad(loss, logits)
    probs = logits.detach().softmax(1)[0].tolist()
    label = target[0].tolist()
    assert article.cross_entropy(probs, label) == pytest.approx(loss.item(), rel=1e-9, abs=1e-12)
    assert article.gradient(probs, label) == pytest.approx(gradient[0].tolist(), abs=1e-12)


def test_numbers_that_are_no_distribution_and_unknown_units_are_refused():
    for probs, target, message in (
        ((0.5, 0.5), (1, 0, 0), "target has 3 numbers; expected 2"),
        ((0.5, 1.5), (1, 0), "probs contains 1.5; expected numbers from 0 to 1"),
        ((0.5, math.nan), (1, 0), "probs contains nan"),
        ((0.5, 0.5), (1, -1), "target contains -1; expected numbers from 0"),
    ):
        for function in (article.likelihood, article.cross_entropy, article.gradient):
            with pytest.raises(ValueError, match=message):
                function(probs, target)
    with pytest.raises(ValueError, match="unit is 'nits'; expected one of nats, bits, dits"):
        article.cross_entropy(PROBS, TARGET, "nits")
