"""When to stop: train.patience, train.minutes, more epochs; and the learning-rate finder."""

from dataclasses import asdict

import pytest

from crossent.config import Settings
from crossent.errors import UserError
from crossent.resume import is_finished
from crossent.tensor_file import write_tensors
from crossent.training.find_lr import HIGHEST, LOWEST, draw_rates, find_lr, suggest_lr
from crossent.training.run_folder import RunFolder
from crossent.training.trainer import Progress, Trainer
from crossent.verify_resume import first_difference, without_times
from tests.training.parts import finished, make_run, make_trainer


def test_patience_stops_after_so_many_epochs_without_a_smaller_E(tmp_path, monkeypatch):
    losses = iter([1.0, 0.8, 0.9, 0.85, 0.1])
    finish_epoch = Trainer.finish_epoch

    def given(trainer, val):
        record = finish_epoch(trainer, val)
        record["val"]["E"] = next(losses)
        return record

    monkeypatch.setattr(Trainer, "finish_epoch", given)
    records = finished(tmp_path / "run", epochs=9, patience=2).folder.records()
    assert [r["epoch"] for r in records if r["kind"] == "epoch"] == [1, 2, 3, 4]
    end = records[-1]
    assert (end["kind"], end["best_epoch"], end["best_E"]) == ("end", 2, 0.8)


def checkpoint_of(path, settings, progress):
    """Return a folder with a checkpoint that holds no tensors, only its progress."""
    folder = RunFolder(path)
    header = {"kind": "checkpoint", "settings": settings.model_dump(mode="json")}
    write_tensors(folder.last, {}, header | {"progress": asdict(progress)})
    return folder


@pytest.mark.parametrize("done", [True, False])
def test_more_epochs_change_nothing_where_patience_has_ended_the_run(tmp_path, done):
    settings, more = (Settings(train={"epochs": n, "patience": 2}) for n in (9, 20))
    progress = Progress(epoch=4, best_epoch=2, best_E=0.8, done=done, num_records=6)
    folder = checkpoint_of(tmp_path, settings, progress)
    assert is_finished(folder, settings) == is_finished(folder, more) == done


def test_more_epochs_than_the_minutes_gave_are_trained(tmp_path):
    """The default is 20; the minutes allowed 37."""
    old, more, fewer = (Settings(train={"epochs": n, "minutes": 1}) for n in (20, 40, 30))
    folder = checkpoint_of(tmp_path, old, Progress(epoch=37, epochs=37, done=True))
    assert is_finished(folder, old) and not is_finished(folder, more)
    with pytest.raises(UserError, match=r"train\.epochs=30 would shorten .* allowed 37 epochs"):
        is_finished(folder, fewer)


def test_minutes_become_epochs_which_a_resumed_run_keeps(tmp_path, monkeypatch):
    """On a machine where an epoch takes 10 s, and then on one where it takes 0.1 s."""

    def timed(name, epoch_s=10.0, epochs=100):
        measured = "crossent.training.run.seconds_per_epoch"
        monkeypatch.setattr(measured, lambda trainer: epoch_s)
        run = make_run(tmp_path / name, epochs, minutes=0.5)
        run.start_or_resume()
        return run

    straight = timed("straight")
    straight.fit()
    three = finished(tmp_path / "three", epochs=3)
    records = [without_times(run.folder.records()) for run in (straight, three)]
    assert records[0] == records[1], "0.5 minutes are 3 epochs of 10 s"
    stopped = timed("stopped")
    stopped.one_epoch()
    stopped.save()
    timed("stopped", epoch_s=0.1).fit()
    assert first_difference(straight.folder, stopped.folder) is None
    more = timed("stopped", epochs=101)  # than were asked for before
    assert more.epochs == 101 and not more.trainer.progress.done


def test_the_finder_suggests_where_E_falls_fastest():
    """On a curve that falls fastest around the rate 0.1."""
    lrs = [10 ** (-4 + 0.1 * i) for i in range(50)]
    Es = [1.1 - 0.5 / (1 + (0.1 / lr) ** 2) for lr in lrs]
    assert suggest_lr(lrs, Es) == pytest.approx(0.1, rel=0.3)
    with pytest.raises(UserError, match="did not fall at any learning rate"):
        suggest_lr([1.0, 2.0, 3.0], [1.0, 1.5, 2.0])


def test_the_finder_tries_rates_in_order_until_E_explodes(tmp_path):
    lrs, Es = find_lr(make_trainer(dropout=0.0, mixup=0.0))
    assert lrs == sorted(lrs) and lrs[0] == pytest.approx(LOWEST) and lrs[-1] <= HIGHEST * 1.0001
    suggestion = suggest_lr(lrs, Es)
    assert LOWEST < suggestion < 5
    draw_rates(lrs, Es, suggestion, tmp_path / "lr-finder.png")
    assert (tmp_path / "lr-finder.png").read_bytes().startswith(b"\x89PNG")
