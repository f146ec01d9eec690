"""The trials of a sweep: what is tried, how a trial ends, what a kill leaves, the results.

A function that only writes a prescribed E per epoch replaces the training here.
"""

import csv
import json

import pytest
import torch

from crossent.config import load_settings, to_yaml, with_values
from crossent.errors import EXIT_DONE, EXIT_NOT_FINITE, UserError
from crossent.experiments import sweep as sweep_module
from crossent.pretrained import follow_weights
from crossent.train_run import Outcome
from crossent.training.run_folder import RunFolder
from tests.evaluation.parts import crossent

EPOCHS = 3
SPACE = {
    "optim": {"lr": {"low": 0.001, "high": 1.0, "log": True}},
    "train": {"mixup": [0.0, 1.0]},
    "data": {"flip": [0.0, 1.0]},
}


class Killed(BaseException):
    """An exception that the program does not catch, in place of SIGKILL."""


def killed(*_):
    raise Killed


def refused(*_):
    raise UserError("data.image_size is 64; vit takes 224 only")


def pretend(E_of):
    """Return a training whose E on validation is E_of(epoch)."""

    def train_one(settings, path, is_resumed, caller):
        folder = RunFolder(path)
        if not is_resumed:
            folder.create(to_yaml(settings))
        for epoch in range(1, EPOCHS + 1):
            record = {"kind": "epoch", "epoch": epoch, "val": {"E": E_of(epoch), "accuracy": 0.5}}
            folder.append(record)
            caller.watch(record)
        return Outcome(EXIT_DONE)

    return train_one


def number_of(path):
    return int(path.name[-3:])


def run(path, *words, happen=None, space=SPACE, status=0, **plan):
    """Start or resume a sweep; return what it prints, and the rows of trials.csv by name.

    Args:
        happen: other trainings by the number of the trial; E of the others falls with the number.
    """

    def train_run(settings, trial, *rest):
        number = number_of(trial)
        good = pretend(lambda epoch: (2 - number / 10) / epoch)
        return (happen or {}).get(number, good)(settings, trial, *rest)

    where = ["--resume", path]
    if not path.exists():
        plan = {"strategy": "random", "trials": 2, **plan}
        config = path.with_suffix(".yaml")
        config.write_text(json.dumps({"train": {"epochs": EPOCHS}, "sweep": plan, "space": space}))
        where = ["-c", config, "--out", path]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_module, "train_run", train_run)
        out, _ = crossent("sweep", *where, *words, status=status)
    rows = csv.DictReader((path / "trials.csv").read_text().splitlines())
    return out, sorted(rows, key=lambda row: row["trial"])


def values(rows, *names):
    return [tuple(row[name] for name in names) for row in rows]


FAULTS = {
    "data.image_size is 64; vit takes 224 only": refused,
    # out of memory, as torch says it on a CPU
    "RuntimeError: [enforce fail at alloc_cpu.cpp": lambda *_: torch.empty(1 << 60),
    "ZeroDivisionError: division by zero": lambda *_: 1 / 0,
    "a number was not finite": lambda *_: Outcome(EXIT_NOT_FINITE),
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Return a sweep with every kind of trial: its folder, output and rows."""
    path = tmp_path_factory.mktemp("mixed") / "sweep"
    rising, hopeless = pretend(lambda epoch: 1.9 + epoch / 10), pretend(lambda epoch: 50 / epoch)
    happen = {1: rising, **dict(enumerate(FAULTS.values(), start=3)), 11: hopeless}
    return path, *run(path, happen=happen, trials=13)


def test_a_trial_has_its_settings_in_its_folder_and_E_of_the_epoch_that_is_kept(mixed):
    path, _, rows = mixed
    for row in (rows[0], rows[1]):
        found = load_settings(path / row["trial"] / "config.yaml").settings
        assert found.optim.lr == float(row["optim.lr"]) and 0.001 <= found.optim.lr <= 1
        assert found.train.mixup == float(row["train.mixup"])
    assert float(rows[0]["E"]) == 2.0, "of its first epoch"
    assert float(rows[1]["E"]) == 1.8 / EPOCHS, "of its last epoch"


def test_a_trial_that_fails_for_any_reason_does_not_end_the_sweep(mixed):
    _, out, rows = mixed
    for row, reason, line in zip(rows[2:6], FAULTS, out.splitlines()[2:6], strict=True):
        assert (row["state"], row["E"]) == ("failed", "") and row["reason"].startswith(reason)
        assert f"trial={row['trial']}  state=failed" in line and f"reason={reason}" in line


def test_a_hopeless_trial_is_stopped(mixed):
    states = [row["state"] for row in mixed[2]]
    assert states == ["done"] * 2 + ["failed"] * 4 + ["done"] * 4 + ["pruned"] + ["done"] * 2
    assert values(mixed[2][10:11], "E", "epoch") == [("50.0", "1")]


def test_table_files_and_plots(mixed):
    path, out, rows = mixed
    table = out[out.index("13 trials: 8 done, 1 pruned, 4 failed\n") :]
    done = sorted((row for row in rows if row["state"] == "done"), key=lambda row: float(row["E"]))
    assert table.splitlines()[3].split()[:3] == ["trial-013", "done", f"{float(done[0]['E']):.4g}"]
    assert [line.split()[0] for line in table.splitlines()[3:11]] == [row["trial"] for row in done]
    assert "best: trial-013." in table and "too good" in table
    compared = " ".join(f"{path / row['trial']}" for row in done[:5])
    assert f"python -m crossent compare {compared}\n" in table
    best = follow_weights(load_settings(path / "best.yaml").settings)
    assert best == load_settings(path / "trial-013" / "config.yaml").settings
    for name in ("history.png", "parallel-coordinates.png", "importances.png"):
        assert (path / name).read_bytes()[:4] == b"\x89PNG" and name in table
    assert f"optuna-dashboard sqlite:///{path}/study.db" in table


def test_the_seed_decides_what_is_tried_and_a_resume_repeats_nothing(mixed, tmp_path):
    names = ("optim.lr", "train.mixup", "data.flip")
    first = values(run(tmp_path / "a")[1], *names)
    assert first == values(mixed[2][:2], *names)
    assert values(run(tmp_path / "b", seed=1, trials=1)[1], *names) != first[:1]
    more = values(run(tmp_path / "a", "sweep.trials=4")[1], *names)
    assert more[:2] == first and len({lr for lr, *_ in more}) == 4


def test_a_grid_is_tried_once_even_after_kills(tmp_path, monkeypatch):
    """Each trial uses the preprocessing of its weights."""
    sizes = {None: 64, "a": 40}

    def follow(settings):
        return with_values(settings, {"data.image_size": sizes[settings.model.weights]})

    monkeypatch.setattr(sweep_module, "follow_weights", follow)
    space = {"optim": {"lr": [0.1, 0.2]}, "model": {"weights": [None, "a"]}}
    grid = {"space": space, "strategy": "grid", "trials": None}
    with pytest.raises(Killed):
        run(tmp_path / "sweep", happen={2: killed}, **grid)
    rows = run(tmp_path / "sweep")[1]
    expected = {(lr, weights) for lr in ("0.1", "0.2") for weights in ("", "a")}
    assert len(rows) == 4 and set(values(rows, "optim.lr", "model.weights")) == expected
    for row in rows:
        found = load_settings(tmp_path / "sweep" / row["trial"] / "config.yaml").settings
        assert found.data.image_size == sizes[row["model.weights"] or None]


def test_a_trial_that_kills_its_process_again_and_again_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_module, "MAX_RETRIES", 1)
    for _ in range(2):
        with pytest.raises(Killed):
            run(tmp_path / "sweep", happen={1: killed})
    rows = run(tmp_path / "sweep")[1]
    assert values(rows, "state") == [("failed",), ("done",)]
    assert "its process was killed" in rows[0]["reason"]


def test_a_sweep_without_a_finished_trial_fails(tmp_path):
    out, rows = run(tmp_path / "sweep", happen={1: refused, 2: refused}, status=2)
    assert "2 trials: 2 failed" in out and "vit" in rows[0]["reason"]
