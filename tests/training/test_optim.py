"""The loss of a step, the learning rate over the steps, the average of the weights."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from crossent.errors import UserError
from crossent.training.find_lr import draw_rates, suggest_lr
from crossent.training.optim import Schedule, TrainingLoss, WeightAverage


def rates(num_steps=100, warmup=0.1, final=0.0):
    schedule = Schedule(num_steps, peak_lr=0.4, warmup=warmup, final=final)
    return [schedule.lr_at(step) for step in range(num_steps)]


def test_the_rate_rises_in_equal_steps_then_a_cosine_falls_to_the_final_share():
    lrs = rates()
    assert lrs[:10] == pytest.approx([0.04 * n for n in range(1, 11)])
    assert lrs[10] == max(lrs) == 0.4
    assert lrs[55] == pytest.approx(0.2)  # half way down
    assert all(a > b for a, b in pairwise(lrs[10:]))
    assert 0 < lrs[-1] < 0.001
    assert rates(final=0.5)[-1] == pytest.approx(0.2, abs=1e-3)
    assert rates(warmup=0.0) == pytest.approx(
        [0.2 * (1 + math.cos(n * math.pi / 100)) for n in range(100)]
    )
    assert rates(warmup=1.0) == pytest.approx([0.004 * n for n in range(1, 101)])
    assert rates(1, warmup=0.0) == rates(1, warmup=1.0) == [0.4]


@pytest.mark.parametrize("soft", [False, True], ids=["indices", "mixed"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_class_weights_weight_samples_and_move_no_optimum(label_smoothing, soft):
    """With weights 1 to 100, torch's own loss is smallest at class 2 for every label."""
    labels = torch.tensor([0, 1, 2])
    target = torch.eye(3).roll(1, 0) * 0.3 + torch.eye(3) * 0.7 if soft else labels
    probs = target if soft else torch.eye(3)
    weight = torch.tensor([1.0, 5.0, 100.0])
    criterion = TrainingLoss(weight, label_smoothing=label_smoothing)
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    E = F.cross_entropy(logits, target, reduction="none", label_smoothing=label_smoothing)
    expected = ((probs @ weight) * E).sum() / (probs @ weight).sum()
    torch.testing.assert_close(criterion(logits, target), expected)
    smooth = (1 - label_smoothing) * probs + label_smoothing / 3
    best = smooth.clamp(min=1e-9).log().requires_grad_()
    (gradient,) = torch.autograd.grad(criterion(best, target), best)
    torch.testing.assert_close(gradient, torch.zeros(3, 3), rtol=0, atol=1e-5)


@pytest.mark.parametrize("half_life", [3.0, 1e9])
def test_the_mean_is_the_sum_written_out(half_life):
    """A plain mean at first, then an exponential one; buffers are averaged, counters copied."""
    model = torch.nn.BatchNorm1d(1)
    average = WeightAverage(model, half_life)
    values = [5.0, -1.0, 2.0, 7.0, 4.0, 0.5, 3.0, 9.0]
    expected = 0.0
    for step, value in enumerate(values, 1):
        model.weight.data.fill_(value)
        model.running_mean.fill_(-value)
        model.num_batches_tracked.fill_(step)
        average.update(model, step)
        share = max(1 - 0.5 ** (1 / half_life), 1 / step)
        expected = (1 - share) * expected + share * value
    if half_life > len(values):
        assert expected == pytest.approx(sum(values) / len(values))
    assert average.model.weight.item() == pytest.approx(expected, rel=1e-6)
    assert average.model.running_mean.item() == pytest.approx(-expected, rel=1e-6)
    assert average.model.num_batches_tracked.item() == len(values)


def test_the_finder_suggests_where_E_falls_fastest(tmp_path):
    """The curve falls fastest around the learning rate 0.1."""
    lrs = [10 ** (-4 + 0.1 * i) for i in range(50)]
    Es = [1.1 - 0.5 / (1 + (0.1 / lr) ** 2) for lr in lrs]
    assert suggest_lr(lrs, Es) == pytest.approx(0.1, rel=0.3)
    draw_rates(lrs, Es, 0.1, tmp_path / "lr-finder.png")
    assert (tmp_path / "lr-finder.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="did not fall at any learning rate"):
        suggest_lr([1.0, 2.0, 3.0], [1.0, 1.5, 2.0])
