import torch
import torch.nn.functional as F

from crossent.training.samples import SampleLosses
from tests.training.parts import make_trainer


def test_each_sample_has_the_sum_of_its_own_losses():
    """Of the labels that the data has, not of those that mixup has blended."""
    trainer = make_trainer()
    labels = torch.from_numpy(trainer.batches.image_set.labels)
    expected, count = torch.zeros(2, len(labels), dtype=torch.float64)
    seen = []
    trainer.model.register_forward_hook(lambda _, __, logits: seen.append(logits.detach()))
    trainer.model.train()
    for batch in trainer.batches.epoch(0):
        trainer.train_step(batch)
        for logits, sample in zip(seen.pop(), batch.sample_ids, strict=True):
            expected[sample] += F.cross_entropy(logits.double(), labels[sample])
            count[sample] += 1
    trainer.count_answers()
    torch.testing.assert_close(trainer.samples.total, expected, rtol=0, atol=1e-5)
    assert torch.equal(trainer.samples.count, count)
    assert count.max() > 1, "balanced sampling shows some sample twice"


def test_sums_are_the_same_in_any_order():
    logits, labels = torch.randn(300, 3, generator=torch.manual_seed(0)), torch.arange(300) % 3
    ids = torch.arange(300) % 7
    totals = []
    for order in (torch.arange(300), torch.randperm(300)):
        samples = SampleLosses.zeros(7)
        samples.add(ids[order].numpy(), logits[order], labels[order])
        totals.append(samples.total)
    assert torch.equal(*totals)
