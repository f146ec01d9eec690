"""A number that is not finite stops the run; the message names its layer and pictures."""

import math
from dataclasses import replace

import pytest
import torch

from crossent.evaluation.evaluate import Evaluator
from crossent.training.not_finite import NotFinite
from crossent.training.trainer import Trainer
from tests.training.parts import make_run, make_trainer


def bad_pixel(trainer, batch):
    batch.images[2, 0, 3, 3] = math.nan


def bad_weight(trainer, batch):
    next(trainer.model.parameters()).data[0, 0, 0, 0] = math.inf


def overflowing_layer(trainer, batch):
    trainer.model.head.weight.data.fill_(3e38)


def bad_loss(trainer, batch):
    infinite = torch.zeros(8, 3)
    infinite[4] = math.inf
    trainer.model.head.register_forward_hook(lambda _, __, logits: logits + infinite)


def overflowing_gradient(trainer, batch):
    trainer.model.head.weight.register_hook(lambda gradient: gradient * math.inf)


CAUSES = {
    bad_pixel: "the pixels are not finite for {2}.",
    bad_weight: "The weight features.0.0.weight was not finite before the step",
    overflowing_layer: "The output of head is the first that is not finite",
    bad_loss: "the loss is not finite for {4}",
    overflowing_gradient: "In the backward pass the gradient of head.weight is the first",
}


@pytest.mark.parametrize("spoil", CAUSES, ids=lambda f: f.__name__)
def test_the_cause_is_named_and_the_weights_stay(spoil):
    trainer = make_trainer()
    batch = next(trainer.batches.epoch(0))
    spoil(trainer, batch)
    before = {name: p.clone() for name, p in trainer.model.named_parameters()}
    names = [trainer.batches.image_set.names[i] for i in batch.sample_ids]
    with pytest.raises(NotFinite, match=r"epoch 1, step 0: the loss is .* norm of the grad") as e:
        trainer.train_step(batch)
    assert CAUSES[spoil].format(*names) in str(e.value)
    assert "\n" not in str(e.value)
    assert "Try optim.lr below 0.05 (at this step the rate was 0.0125)" in str(e.value)
    for name, p in trainer.model.named_parameters():
        assert torch.equal(p, before[name]), name


def test_the_advice_follows_the_settings():
    trainer = make_trainer()
    trainer.evaluator = replace(trainer.evaluator, precision="bf16")
    trainer.schedule = replace(trainer.schedule, warmup=0.0)
    bad_weight(trainer, None)
    words = r"Try train\.precision=fp32 or schedule\.warmup=0\.1 or optim\.lr below 0\.05"
    with pytest.raises(NotFinite, match=words):
        trainer.train_step(next(trainer.batches.epoch(0)))


@pytest.mark.parametrize("where", ["step", "validation"])
def test_the_last_checkpoint_stays_and_the_best_model_is_saved(tmp_path, monkeypatch, where):
    run = make_run(tmp_path / "run", checkpoint_every=1e9)
    run.start()
    before = run.folder.last.read_bytes()
    words = {
        "step": "epoch 2, step 8: the loss is",
        "validation": "step 12: E on validation is nan; features.0.1.running_var is not finite",
    }[where]
    train_step, evaluate = Trainer.train_step, Evaluator.__call__

    def spoil_step(trainer, batch):
        if where == "step" and trainer.step == 8:
            bad_weight(trainer, batch)
        train_step(trainer, batch)

    def spoil_validation(evaluator, model):
        if where == "validation" and run.trainer.step == 12:
            model.features[0][1].running_var.fill_(math.nan)
        return evaluate(evaluator, model)

    monkeypatch.setattr(Trainer, "train_step", spoil_step)
    monkeypatch.setattr(Evaluator, "__call__", spoil_validation)
    with pytest.raises(NotFinite, match=words):
        run.fit()
    assert run.folder.last.read_bytes() == before
    assert run.folder.model.exists()
