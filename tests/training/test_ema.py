"""The mean of the weights: against the sum written out, and through a kill and a resume."""

import pytest
import torch

from crossent.model_file import load_model
from crossent.training.ema import Average
from crossent.training.signals import Interrupted
from tests.training.parts import CPU, make_run
from tests.training.test_fit import assert_same_run


def test_the_mean_is_the_sum_written_out():
    """Plain at first, then exponential; buffers like weights, counters copied."""
    model = torch.nn.BatchNorm1d(1)
    average = Average(model, half_life=3.0)
    share = 1 - 0.5 ** (1 / 3.0)
    values = [5.0, -1.0, 2.0, 7.0, 4.0, 0.5, 3.0, 9.0]
    expected = 0.0
    for step, value in enumerate(values, 1):
        model.weight.data.fill_(value)
        model.running_mean.fill_(-value)
        model.num_batches_tracked.fill_(step)
        average.update(model, step)
        s = max(share, 1 / step)
        expected = (1 - s) * expected + s * value
    assert average.model.weight.item() == pytest.approx(expected, rel=1e-6)
    assert average.model.running_mean.item() == pytest.approx(-expected, rel=1e-6)
    assert average.model.num_batches_tracked.item() == len(values)


def test_a_long_half_life_gives_the_plain_mean():
    model = torch.nn.Linear(1, 1)
    average = Average(model, half_life=1e9)
    for step in range(1, 11):
        model.weight.data.fill_(float(step))
        average.update(model, step)
    assert average.model.weight.item() == pytest.approx(5.5, rel=1e-6)


def averaged(path):
    run = make_run(path)
    run.trainer.average = Average(run.trainer.model, half_life=4)
    return run


def test_the_mean_is_what_is_evaluated_and_stored(tmp_path):
    run = averaged(tmp_path / "run")
    run.start()
    run.fit()
    classifier = load_model(tmp_path / "run", CPU)
    stored = run.trainer.evaluator(classifier.model).means()["E"]
    assert stored == run.folder.records()[-1]["best_E"]
    assert stored != run.trainer.evaluator(run.trainer.model).means()["E"]


@pytest.mark.parametrize("step", [1, 8])
def test_a_resumed_run_has_the_same_mean_to_the_bit(tmp_path, step):
    straight = averaged(tmp_path / "straight")
    straight.start()
    straight.fit()
    run = averaged(tmp_path / "stopped")
    run.start()
    train_step = run.trainer.train_step

    def stop_later(batch):
        train_step(batch)
        if run.trainer.step == step:
            run.stop.handle(15, None)

    run.trainer.train_step = stop_later
    with pytest.raises(Interrupted):
        run.fit()
    resumed = averaged(tmp_path / "stopped")
    resumed.resume()
    resumed.fit()
    assert_same_run(straight.folder, resumed.folder)
