import math

import pytest
import torch
import torch.nn.functional as F

from crossent.training.samples import sum_answers
from tests.training.parts import make_trainer


def first_batch(trainer):
    return next(trainer.batches.epoch(0))


def test_a_step_is_plain_sgd_on_the_cross_entropy():
    """Against torch's own loss and the update written out: momentum is empty in the first step."""
    trainer = make_trainer(dropout=0.0)
    reference = make_trainer(dropout=0.0)
    batch = first_batch(trainer)
    trainer.model.train()
    trainer.train_step(batch)

    reference.model.train()
    loss = F.cross_entropy(reference.model(batch.images), batch.target, label_smoothing=0.1)
    loss.backward()
    lr = trainer.schedule.lr_at(0)
    for got, p in zip(trainer.model.parameters(), reference.model.parameters(), strict=True):
        expected = p.detach() - lr * (1 + 0.9) * p.grad  # Nesterov looks ahead by the momentum
        torch.testing.assert_close(got.detach(), expected, rtol=1e-4, atol=1e-6)


def test_training_lowers_E():
    trainer = make_trainer()
    before = trainer.evaluator(trainer.model).means()["E"]
    for _ in range(3):
        trainer.train_epoch(after_step=lambda: None)
        record = trainer.finish_epoch(trainer.validate())
    assert math.isclose(before, math.log(3), abs_tol=1e-6)
    assert record["val"]["E"] < 0.8 * before


def test_train_totals_are_sums_over_samples():
    trainer = make_trainer()
    trainer.train_epoch(after_step=lambda: None)
    assert trainer.train_totals.count == trainer.batches.order.num_slots == 45
    assert trainer.progress.batch == len(trainer.batches) == 6


def test_sums_of_soft_targets_count_the_share_of_the_answer():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    target = torch.tensor([[0.7, 0.3, 0.0], [0.4, 0.6, 0.0]])
    E, correct = sum_answers(logits, target)
    expected = -(target.double() * logits.double().log_softmax(1)).sum()
    assert E == pytest.approx(expected.item(), abs=1e-6)  # rounded to 2^-20 a sample
    assert correct == pytest.approx(0.7 + 0.6, abs=1e-6)
    hard_E, hard_correct = sum_answers(logits, torch.tensor([0, 2]))
    assert hard_E == pytest.approx(
        F.cross_entropy(logits.double(), torch.tensor([0, 2]), reduction="sum").item(),
        abs=1e-6,
    )
    assert hard_correct == 1


def test_evaluation_is_a_mean_over_samples_whatever_the_batches():
    trainer = make_trainer()
    trainer.train_step(first_batch(trainer))
    totals = trainer.evaluator(trainer.model)
    images = trainer.evaluator.preprocessing.normalise(
        torch.from_numpy(trainer.evaluator.image_set.images)
    )
    with torch.no_grad():
        logits = trainer.model(images)
    labels = torch.from_numpy(trainer.evaluator.image_set.labels)
    assert totals.means()["E"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert totals.correct == (logits.argmax(1) == labels).sum().item()
