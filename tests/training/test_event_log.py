import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from crossent.training.event_log import EventLog
from tests.training.parts import make_run

ROOT = Path(__file__).resolve().parents[2]


class Killed(BaseException):
    """What no one catches, so that nothing is saved any more."""


def events_of(path):
    found = EventAccumulator(str(path), size_guidance={"scalars": 0})
    found.Reload()
    return found


def curve(found, name):
    return [(event.step, event.value) for event in found.Scalars(name)]


def expected(folder, split, name):
    epochs = [r for r in folder.records() if r["kind"] == "epoch"]
    return [(r["epoch"], pytest.approx(r[split][name], rel=1e-6)) for r in epochs]


@pytest.fixture
def make_logged_run(tmp_path):
    runs = []

    def make(name):
        run = make_run(tmp_path / name)
        run.events = EventLog(run.folder.path / "tensorboard")
        runs.append(run)
        return run

    yield make
    for run in runs:
        run.events.close()


def test_tensorboard_shows_the_numbers_of_the_log(make_logged_run):
    run = make_logged_run("run")
    run.start()
    run.fit()
    found = events_of(run.events.path)
    start = run.folder.records()[0]
    assert curve(found, "E/val") == [
        (0, pytest.approx(start["E"], rel=1e-6)),
        *expected(run.folder, "val", "E"),
    ]
    for split in ("train", "val"):
        assert curve(found, f"accuracy/{split}") == expected(run.folder, split, "accuracy")
    assert found.Tags()["images"] == ["augmented training pictures"]
    (settings,) = found.Tensors("settings/text_summary")
    assert b"seed: 0" in settings.tensor_proto.string_val[0]


def test_a_resumed_run_has_every_epoch_once(make_logged_run):
    run = make_logged_run("run")
    run.start()
    add = run.events.add

    def killed_after_the_line(record):  # and before the checkpoint of that epoch
        add(record)
        if record.get("epoch") == 2:
            raise Killed

    run.events.add = killed_after_the_line
    run.checkpoint_share = math.inf  # one after each epoch, whatever it takes
    with pytest.raises(Killed):
        run.fit()
    resumed = make_logged_run("run")
    resumed.start_or_resume()
    assert resumed.trainer.progress.epoch == 1
    resumed.fit()
    found = events_of(run.events.path)
    assert curve(found, "E/train") == expected(resumed.folder, "train", "E")
    assert [step for step, _ in curve(found, "E/val")] == [0, 1, 2, 3]
    assert len(found.Images("augmented training pictures")) == 1


def test_training_alone_imports_tensorboard():
    program = "import sys, crossent.build; print('tensorboard' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert out.stdout.strip() == "False", json.dumps(out.stderr)
