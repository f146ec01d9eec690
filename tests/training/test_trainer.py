"""A step is SGD on E; the sums in the log and for each picture; the mean over samples."""

import pytest
import torch
import torch.nn.functional as F

from crossent.training.optim import WeightAverage
from crossent.training.trainer import sum_E_and_correct
from tests import golden
from tests.training.parts import make_trainer


def test_losses_are_the_golden_ones_and_repeat():
    """Other machines and versions of torch sum in another order and give close losses.

    The first steps amplify such differences little; a change of the program is far larger.
    """
    version, expected = golden.read()
    found = golden.losses()
    assert found == pytest.approx(expected, rel=1e-4 if version == torch.__version__ else 1e-3)
    assert found == golden.losses()  # to the bit


def test_a_step_is_plain_sgd_on_the_cross_entropy():
    """Compare with torch's own loss and the update by hand; there is no momentum yet."""
    trainer, reference = make_trainer(dropout=0.0), make_trainer(dropout=0.0)
    batch = next(trainer.batches.epoch(0))
    for one in (trainer, reference):
        one.model.train()
    trainer.train_step(batch)
    loss = F.cross_entropy(reference.model(batch.images), batch.target, label_smoothing=0.1)
    loss.backward()
    lr = trainer.schedule.lr_at(0)
    for got, p in zip(trainer.model.parameters(), reference.model.parameters(), strict=True):
        expected = p.detach() - lr * (1 + 0.9) * p.grad  # Nesterov looks ahead by the momentum
        torch.testing.assert_close(got.detach(), expected, rtol=1e-4, atol=1e-6)


def test_running_statistics_are_means_of_the_first_batches_then_forget_old_ones():
    trainer = make_trainer(dropout=0, lr=1e-30)
    bn = next(m for m in trainer.model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    means = []
    bn.register_forward_hook(lambda _, inputs, __: means.append(inputs[0].mean(dim=(0, 2, 3))))
    trainer.model.train()
    batches = [batch for epoch in range(2) for batch in trainer.batches.epoch(epoch)]
    for batch in batches[:10]:
        trainer.train_step(batch)
    torch.testing.assert_close(bn.running_mean, torch.stack(means).mean(0).detach())
    old = bn.running_mean.clone()
    trainer.train_step(batches[10])
    torch.testing.assert_close(bn.running_mean, 0.9 * old + 0.1 * means[-1].detach())


def test_sums_of_soft_targets_count_the_share_of_the_predicted_class():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    soft = torch.tensor([[0.7, 0.3, 0.0], [0.4, 0.6, 0.0]], dtype=torch.float64)
    for target, right in ((soft, 0.7 + 0.6), (torch.tensor([0, 2]), 1)):
        E = F.cross_entropy(logits, target, reduction="sum").item()
        # rounded to 2^-20 per sample
        assert sum_E_and_correct(logits, target) == pytest.approx((E, right), abs=1e-6)


def test_each_picture_has_the_sum_of_its_own_losses():
    """The losses are for the labels of the data, not for the labels that mixup has mixed."""
    trainer = make_trainer()
    labels = torch.from_numpy(trainer.batches.image_set.labels)
    expected = torch.zeros(2, len(labels), dtype=torch.float64)
    seen = []
    trainer.model.register_forward_hook(lambda _, __, logits: seen.append(logits.detach()))
    trainer.model.train()
    for batch in trainer.batches.epoch(0):
        trainer.train_step(batch)
        for logits, sample in zip(seen.pop(), batch.sample_ids, strict=True):
            expected[0, sample] += F.cross_entropy(logits.double(), labels[sample])
            expected[1, sample] += 1
    trainer.count_steps()
    torch.testing.assert_close(trainer.losses, expected, rtol=0, atol=1e-5)
    assert expected[1].max() > 1, "balanced sampling shows some sample twice"


def test_validation_is_a_mean_over_samples_with_the_average_of_the_weights():
    trainer = make_trainer()
    average = trainer.average = WeightAverage(trainer.model, half_life=4.0)
    for batch in trainer.batches.epoch(0):
        trainer.train_step(batch)
    E, _, accuracy = trainer.validate().mean(dim=0)
    image_set = trainer.evaluator.image_set
    images = trainer.evaluator.preprocessing.normalise(torch.from_numpy(image_set.images))
    labels = torch.from_numpy(image_set.labels)
    with torch.no_grad():
        logits, others = average.model(images), trainer.model.eval()(images)
    assert E == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert E != pytest.approx(F.cross_entropy(others, labels).item(), rel=1e-3)
    assert accuracy == (logits.argmax(1) == labels).double().mean()
