"""A whole run in this process: its files, its log, TensorBoard, its last lines."""

import errno
import math
import os
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from crossent.evaluation.intervals import wilson
from crossent.model_file import load_model
from crossent.tensor_file import read_tensors
from crossent.training.console import HEADINGS, Console, EventLog
from crossent.training.run_folder import RunFolder
from crossent.training.trainer import Trainer
from crossent.verify_resume import first_difference
from tests.training.parts import CLASS_NAMES, CPU, STEPS_PER_EPOCH, finished, make_run


def test_a_run_leaves_the_files_of_the_design_and_says_what_to_do_next(tmp_path, capsys):
    run = finished(tmp_path / "run")
    start, *epochs, end = run.folder.records()
    num_params = sum(p.numel() for p in run.trainer.model.parameters())
    assert start == {
        "kind": "start", "E": pytest.approx(math.log(3), abs=1e-6), "baseline": math.log(3),
        "class_names": CLASS_NAMES, "num_params": num_params,
        "num_images": {"train": 44, "val": 15, "unusable": 0},
    }  # fmt: skip
    assert [(e["epoch"], e["step"]) for e in epochs] == [(1, 6), (2, 12), (3, 18)]
    assert epochs[-1]["val"]["E"] < 0.8 * start["E"]
    assert set(epochs[0]) == {
        "kind", "epoch", "step", "lr", "train", "val", "images_per_s", "elapsed_s",
    }  # fmt: skip
    assert end["kind"] == "end"
    best = min(epochs, key=lambda e: e["val"]["E"])
    assert (end["best_epoch"], end["best_E"]) == (best["epoch"], best["val"]["E"])
    accuracy = wilson(round(15 * best["val"]["accuracy"]), 15).text(".1%")
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"kept epoch {best['epoch']}: accuracy {accuracy}, E = {best['val']['E']:.4f}; "
        f"{run.folder.model}"
    )
    assert run.what_next() == f"next: python -m crossent evaluate {run.folder.path}"
    assert not list(run.folder.path.glob(".*")), "temporary files were left"
    classifier = load_model(run.folder.path, CPU)
    assert classifier.header["metrics"]["epoch"] == end["best_epoch"]
    assert run.trainer.evaluator(classifier.model)[:, 0].mean() == end["best_E"]
    assert classifier.class_names == CLASS_NAMES
    again = finished(tmp_path / "again")
    assert first_difference(run.folder, again.folder) is None, "the same seed, the same bytes"


def test_checkpoints_within_an_epoch(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", epochs=1, checkpoint_every=0.0)
    run.start()
    batches, train_step = [], Trainer.train_step

    def look(trainer, batch):
        batches.append(read_tensors(run.folder.last)[1]["progress"]["batch"])
        train_step(trainer, batch)

    monkeypatch.setattr(Trainer, "train_step", look)
    run.fit()
    assert batches == [0, 1, 2, 3, 4, 5]


def test_the_time_of_a_resumed_run_counts_from_its_first_start(tmp_path):
    start = time.perf_counter()
    run = finished(tmp_path / "run")
    elapsed_s, duration = run.folder.records()[-2]["elapsed_s"], time.perf_counter() - start
    assert 0 < elapsed_s < duration
    again = make_run(tmp_path / "run")
    again.resume()
    assert again.elapsed_s > elapsed_s


def test_a_table_keeps_its_columns_where_E_explodes(capsys):
    console = Console()
    console.line(HEADINGS)
    for E in (1.0986, 999.5, 1e30):
        split = {"E": E, "accuracy": 0.5}
        console.epoch({"epoch": 1, "train": split, "val": split, "images_per_s": 9.0}, 20, 5.0)
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "1.00e+30" in lines[-1]


@pytest.mark.parametrize(
    ("E_train", "advice"),
    [(5.0, "try optim.lr=0.005 (it was 0.05)"), (0.1, "overfits (E = 0.1000 in training): try")],
)
def test_a_run_that_ends_above_ln_K_says_so(tmp_path, E_train, advice):
    run = finished(tmp_path / "run", epochs=1)
    start, epoch, end = run.folder.records()
    epoch |= {"train": {"E": E_train}, "val": {"E": 1e30}}
    run.folder.records = lambda: [start, epoch, end]
    text = run.what_next()
    assert text.startswith("E on validation ended at 1.00e+30, above ln 3 = 1.0986")
    assert advice in text


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_warning(tmp_path, monkeypatch, capsys, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with RunFolder(tmp_path / "run").in_use():
        pass
    err = capsys.readouterr().err
    assert f"warning: {tmp_path / 'run'} cannot be locked" in err and err.count("\n") == 1


def test_metrics_are_whole_lines_of_json_without_nan(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        folder.append({"E": math.nan})
    folder.append({"E": 1.0})
    with folder.metrics.open("a") as file:
        file.write('{"kind": "epo')  # torn by a kill
    assert folder.records() == [{"E": 1.0}]
    folder.keep_records(1)
    assert folder.metrics.read_text() == '{"E": 1.0}\n'


def make_logged_run(path):
    run = make_run(path, checkpoint_every=f"{STEPS_PER_EPOCH} steps")
    run.events = EventLog(run.folder.tensorboard)
    return run


def test_tensorboard_has_every_epoch_of_the_log_once_also_after_a_kill(tmp_path):
    run = make_logged_run(tmp_path / "run")
    run.start()
    add = run.events.add

    def killed_after_the_line(record):  # and before the checkpoint of that epoch
        add(record)
        if record.get("epoch") == 2:
            raise KeyboardInterrupt  # nothing is saved any more

    run.events.add = killed_after_the_line
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    resumed = make_logged_run(tmp_path / "run")
    resumed.start_or_resume()
    assert resumed.trainer.progress.epoch == 1
    resumed.fit()
    found = EventAccumulator(str(run.folder.tensorboard), size_guidance={"scalars": 0})
    found.Reload()
    start, *epochs, _ = run.folder.records()
    for name in ("E", "accuracy"):
        for split in ("train", "val"):
            expected = [(r["epoch"], pytest.approx(r[split][name], rel=1e-6)) for r in epochs]
            if (name, split) == ("E", "val"):
                expected.insert(0, (0, pytest.approx(start["E"], rel=1e-6)))
            curve = [(event.step, event.value) for event in found.Scalars(f"{name}/{split}")]
            assert curve == expected, (name, split)
