import errno
import json
import math
import time

import pytest
import torch

from crossent.errors import UserError
from crossent.model_file import load_model
from crossent.tensor_file import read_tensors
from crossent.training.console import Console
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted
from crossent.training.trainer import Trainer
from crossent.verify_resume import first_difference
from tests.training.parts import CLASS_NAMES, CPU, EPOCHS, make_run


def before_steps(monkeypatch, things):
    """Let things happen to the trainer before steps of these numbers."""
    train_step = Trainer.train_step

    def watched(trainer, batch, lr=None):
        things.get(trainer.step, lambda trainer: None)(trainer)
        train_step(trainer, batch, lr)

    monkeypatch.setattr(Trainer, "train_step", watched)


def finished(path, **options):
    run = make_run(path, **options)
    run.start()
    run.fit()
    return run


def test_a_run_leaves_the_files_of_the_design(tmp_path):
    run = finished(tmp_path / "run")
    start, *epochs, end = run.folder.records()
    assert start["kind"] == "start"
    assert math.isclose(start["E"], start["baseline"], abs_tol=1e-6)
    assert start["baseline"] == math.log(3)
    assert start["class_names"] == CLASS_NAMES
    assert start["num_params"] == sum(p.numel() for p in run.trainer.model.parameters())
    assert [e["epoch"] for e in epochs] == [1, 2, 3]
    assert [e["step"] for e in epochs] == [6, 12, 18]
    assert set(epochs[0]) == {
        "kind", "epoch", "step", "lr", "train", "val", "images_per_s", "elapsed_s",
    }  # fmt: skip
    assert end["kind"] == "end"
    best = min(epochs, key=lambda e: e["val"]["E"])
    assert (end["best_epoch"], end["best_E"]) == (best["epoch"], best["val"]["E"])
    assert not list(run.folder.path.glob(".*")), "temporary files were left"


def test_the_model_file_is_the_best_epoch_and_describes_itself(tmp_path):
    run = finished(tmp_path / "run")
    classifier = load_model(run.folder.path, CPU)
    end = run.folder.records()[-1]
    assert classifier.header["metrics"]["epoch"] == end["best_epoch"]
    assert run.trainer.evaluator(classifier.model).means()["E"] == end["best_E"]
    assert classifier.class_names == CLASS_NAMES


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    first, second = finished(tmp_path / "a"), finished(tmp_path / "b")
    assert first_difference(first.folder, second.folder) is None


@pytest.mark.parametrize("half_life", [None, 4], ids=["weights", "mean of the weights"])
@pytest.mark.parametrize("step", [1, 9, 18])
def test_a_run_stopped_after_any_step_and_resumed_ends_in_the_same_bytes(
    tmp_path, monkeypatch, step, half_life
):
    straight = finished(tmp_path / "straight", half_life=half_life)
    run = make_run(tmp_path / "stopped", half_life=half_life)
    run.start()
    with monkeypatch.context() as patched:
        before_steps(patched, {step - 1: lambda trainer: run.stop.handle(15, None)})
        with pytest.raises(Interrupted):
            run.fit()
    torch.manual_seed(123)  # whatever another process would have drawn
    resumed = make_run(tmp_path / "stopped", half_life=half_life)
    resumed.resume()
    assert resumed.trainer.step == step
    resumed.fit()
    assert first_difference(straight.folder, resumed.folder) is None


def test_lines_after_the_checkpoint_are_written_again(tmp_path):
    """A kill between the line of an epoch and its checkpoint must not leave the line twice."""
    straight = finished(tmp_path / "straight")
    run = make_run(tmp_path / "killed")
    run.start()
    run.folder.append({"kind": "epoch", "epoch": 1, "note": "its checkpoint was never written"})
    with run.folder.metrics.open("a") as file:
        file.write('{"kind": "epo')
    resumed = make_run(tmp_path / "killed")
    resumed.resume()
    resumed.fit()
    assert first_difference(straight.folder, resumed.folder) is None


def test_a_used_folder_is_refused(tmp_path):
    make_run(tmp_path / "run")
    with pytest.raises(UserError, match=r"holds a run already: go on with --resume"):
        RunFolder(tmp_path / "run").create("seed: 0\n")


def test_checkpoints_within_an_epoch(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", checkpoint_every_s=0.0)
    run.start()
    batches = []

    def look(trainer):
        batches.append(read_tensors(run.folder.last)[1]["progress"]["batch"])

    before_steps(monkeypatch, dict.fromkeys(range(6), look))
    run.fit()
    assert batches == [0, 1, 2, 3, 4, 5]


def test_a_run_accounts_for_all_its_time(tmp_path, capsys):
    start = time.perf_counter()
    run = make_run(tmp_path / "run")
    run.start()
    run.fit()
    elapsed_s = time.perf_counter() - start
    time_s = run.folder.records()[-1]["time_s"]
    for phase in ("augment", "forward+backward", "validation", "checkpoint"):
        assert time_s[phase] > 0, phase
    assert sum(time_s.values()) <= elapsed_s + 0.01, "nothing counts twice"
    assert sum(run.trainer.stopwatch.seconds.values()) == pytest.approx(elapsed_s, rel=0.1)
    assert " s: start " in capsys.readouterr().out
    again = make_run(tmp_path / "run")
    again.resume()
    assert again.trainer.stopwatch.seconds["validation"] >= time_s["validation"]


def test_a_table_keeps_its_columns_where_E_explodes(capsys):
    console = Console()
    console.headings()
    for E in (1.0986, 999.5, 1e30):
        split = {"E": E, "accuracy": 0.5}
        console.epoch({"epoch": 1, "train": split, "val": split, "images_per_s": 9.0}, 20, 5.0)
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "1.00e+30" in lines[-1]


def test_a_file_system_without_locks_is_one_warning(tmp_path, monkeypatch, capsys):
    import filelock

    def refuse(self, *args, **kwargs):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with RunFolder(tmp_path / "run").in_use():
        pass
    err = capsys.readouterr().err
    assert f"warning: {tmp_path / 'run'} cannot be locked" in err and err.count("\n") == 1


def test_metrics_lines_are_json_without_nan(tmp_path):
    run = make_run(tmp_path / "run")
    with pytest.raises(ValueError, match="JSON"):
        run.folder.append({"E": math.nan})
    run.folder.append({"E": 1.0})
    assert json.loads(run.folder.metrics.read_text()) == {"E": 1.0}
    assert EPOCHS == 3
