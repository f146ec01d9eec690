import json
import math

import pytest
import torch

from crossent.errors import UserError
from crossent.model_file import load_model
from crossent.tensor_file import read_tensors
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted
from tests.training.parts import CLASS_NAMES, CPU, EPOCHS, make_run


def finished(path):
    run = make_run(path)
    run.start()
    run.fit()
    return run


def without_times(records):
    timed = ("images_per_s", "elapsed_s", "time_s")
    return [{key: value for key, value in r.items() if key not in timed} for r in records]


def assert_same_run(first: RunFolder, second: RunFolder):
    for name in ("last", "model"):
        expected, _ = read_tensors(getattr(first, name))
        got, _ = read_tensors(getattr(second, name))
        assert expected.keys() == got.keys()
        different = [key for key in expected if not torch.equal(expected[key], got[key])]
        assert not different, f"{name}.safetensors: {different}"
    assert without_times(first.records()) == without_times(second.records())


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
    assert_same_run(first.folder, second.folder)


@pytest.mark.parametrize("step", [1, 4, 6, 9, 17, 18])
def test_a_run_stopped_after_any_step_and_resumed_ends_in_the_same_bytes(tmp_path, step):
    straight = finished(tmp_path / "straight")
    run = make_run(tmp_path / "stopped")
    run.start()
    train_step = run.trainer.train_step

    def stop_later(batch):
        train_step(batch)
        if run.trainer.step == step:
            run.stop.handle(15, None)

    run.trainer.train_step = stop_later
    with pytest.raises(Interrupted):
        run.fit()
    torch.manual_seed(123)  # whatever another process would have drawn
    resumed = make_run(tmp_path / "stopped")
    resumed.resume()
    assert resumed.trainer.step == step
    resumed.fit()
    assert_same_run(straight.folder, resumed.folder)


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
    assert_same_run(straight.folder, resumed.folder)


def test_a_used_folder_is_refused(tmp_path):
    make_run(tmp_path / "run")
    with pytest.raises(UserError, match=r"holds a run already: go on with --resume"):
        RunFolder(tmp_path / "run").create("seed: 0\n")


def test_checkpoints_within_an_epoch(tmp_path):
    run = make_run(tmp_path / "run")
    run.start()
    run.checkpoint_every_s = 0.0
    batches = []
    train_step = run.trainer.train_step

    def look(batch):
        if run.folder.last.exists():
            batches.append(read_tensors(run.folder.last)[1]["progress"]["batch"])
        train_step(batch)

    run.trainer.train_step = look
    run.fit()
    assert batches[:6] == [0, 1, 2, 3, 4, 5]


def test_metrics_lines_are_json_without_nan(tmp_path):
    run = make_run(tmp_path / "run")
    with pytest.raises(ValueError, match="JSON"):
        run.folder.append({"E": math.nan})
    run.folder.append({"E": 1.0})
    assert json.loads(run.folder.metrics.read_text()) == {"E": 1.0}
    assert EPOCHS == 3
