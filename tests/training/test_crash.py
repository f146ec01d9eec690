"""A step that is not finite: kept, done again to the bit, and traced to where it began."""

import json
import math

import pytest
import torch

from crossent import CrossEntropyLoss
from crossent.config import load_settings
from crossent.evaluation.evaluate import Evaluator
from crossent.replay import replay
from crossent.training.checkpoint import load_checkpoint, own_generators
from crossent.training.crash import Crash, read_batch, write_crash
from crossent.training.diagnosis import diagnose
from crossent.training.loop import NotFinite
from tests.forked import Command
from tests.training.parts import make_run, make_trainer

SMOKE = ("-c", "configs/smoke.yaml", "train.threads=1")


def first_batch(trainer):
    return next(trainer.batches.epoch(0))


def diagnose_with(trainer, batch):
    return diagnose(trainer.model, trainer.criterion, batch.images, batch.target, "fp32")


def test_a_healthy_step():
    trainer = make_trainer()
    found = diagnose_with(trainer, first_batch(trainer))
    assert found.is_finite
    assert found.culprit() == "every number of the step is finite"
    assert found.outputs["head"] == 0.0  # it starts at zero
    assert 0 < found.gradients["the output of head"] < math.inf


def test_a_pixel():
    trainer = make_trainer()
    batch = first_batch(trainer)
    batch.images[2, 0, 3, 3] = math.nan
    found = diagnose_with(trainer, batch)
    assert not found.is_finite
    assert found.bad_rows == [2]
    assert found.culprit() == "the pixels of 1 pictures are not finite"


def test_a_weight():
    trainer = make_trainer()
    next(trainer.model.parameters()).data[0, 0, 0, 0] = math.inf
    found = diagnose_with(trainer, first_batch(trainer))
    assert found.culprit() == "the weight features.0.0.weight was not finite before the step"


def test_a_layer_that_overflows():
    trainer = make_trainer()
    trainer.model.head.weight.data.fill_(3e38)
    found = diagnose_with(trainer, first_batch(trainer))
    assert found.culprit() == "the output of head is the first that is not finite"
    assert math.isfinite(found.outputs["features.3.3"])


def test_a_gradient_that_overflows():
    trainer = make_trainer()
    trainer.model.head.weight.register_hook(lambda gradient: gradient * math.inf)
    found = diagnose_with(trainer, first_batch(trainer))
    assert math.isfinite(found.loss)
    assert (
        found.culprit() == "the gradient at the weight head.weight is the first that is not finite"
    )


def test_a_kept_step_is_done_again_to_the_bit(tmp_path):
    """Dropout draws again what it drew; mixup's pictures come back in their layout in memory."""
    run = make_run(tmp_path / "run")
    trainer = run.trainer
    for batch in trainer.batches.epoch(0):
        trainer.generators = own_generators()
        if trainer.step == 3:
            break
        trainer.model.train()
        trainer.train_step(batch)
    happened = diagnose_with(trainer, batch)  # the fourth step, without its update
    error = NotFinite("not finite", batch, happened.loss, happened.norm)
    crash = Crash(run.folder.crash)
    write_crash(crash, run.folder.config, trainer, run.header(), error)

    again = make_trainer()
    torch.manual_seed(99)
    load_checkpoint(crash.state, again.model, again.optimizer)
    kept = read_batch(crash.batch)
    found = diagnose(
        again.model, CrossEntropyLoss(label_smoothing=0.1), kept.images, kept.target, "fp32"
    )
    assert (found.loss, found.norm) == (happened.loss, happened.norm) == (kept.loss, kept.norm)
    assert kept.sample_ids == batch.sample_ids.tolist()
    assert json.loads(crash.facts.read_text())["samples"].keys() == set(map(str, kept.sample_ids))


def test_the_command_keeps_and_replays(tmp_path):
    run = tmp_path / "run"
    words = ("optim.lr=1e38", "optim.weight_decay=10", "schedule.warmup=0")
    _, err = Command(tmp_path, *SMOKE, *words, "--out", run).end(3)
    assert f"python train.py --replay {run / 'crash'}" in err and err.count("\n") == 1
    assert load_settings(run / "crash" / "config.yaml").settings.optim.lr == 1e38
    out, err = Command(tmp_path, "--replay", run / "crash").end(3)
    assert "(the same)" in out and err == ""
    assert out.splitlines()[-1].startswith("cause: the weight features.0.0.weight was not finite")


def test_the_last_checkpoint_stays_good(tmp_path):
    run = make_run(tmp_path / "run")
    run.start()
    before = run.folder.last.read_bytes()
    run.trainer.model.head.weight.data[0, 0] = math.nan
    with pytest.raises(NotFinite, match=r"sample ids \[.*--replay .*crash"):
        run.fit()
    assert run.folder.last.read_bytes() == before
    assert run.folder.crash.is_dir()


def test_validation_that_is_not_finite_is_kept_too(tmp_path, capsys, monkeypatch):
    run = make_run(tmp_path / "run")
    run.start()
    evaluate = Evaluator.__call__

    def spoil(evaluator, model, answers):
        model.features[0][1].running_var.fill_(math.nan)
        return evaluate(evaluator, model, answers)

    monkeypatch.setattr(Evaluator, "__call__", spoil)
    with pytest.raises(NotFinite, match=r"E on validation is nan.*--replay"):
        run.fit()
    assert replay(run.folder.crash, []) == 3
    words = "E on validation after epoch 1: model.features.0.1.running_var holds numbers that are"
    assert words in capsys.readouterr().out


def test_a_folder_without_a_crash_is_refused(tmp_path):
    _, err = Command(tmp_path, "--replay", tmp_path).end(2)
    assert f"{tmp_path} holds no crash" in err and err.count("\n") == 1
