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


def failing(error):
    def train_run(*_):
        raise error

    return train_run


def pretend(E_of):
    """Return a training whose E on validation is E_of(epoch)."""

    def train_run(settings, path, is_resumed, caller):
        folder = RunFolder(path)
        if not is_resumed:
            folder.create(to_yaml(settings))
        for epoch in range(1, EPOCHS + 1):
            record = {"kind": "epoch", "epoch": epoch, "val": {"E": E_of(epoch), "accuracy": 0.5}}
            folder.append(record)
            caller.watch(record)
        return EXIT_DONE, None, None

    return train_run


KILLED, REFUSED = failing(Killed), failing(UserError("image_size is 64; vit takes 224 only"))
FAULTS = {
    "image_size is 64; vit takes 224 only": REFUSED,
    # out of memory, as torch says it on a CPU
    "RuntimeError: [enforce fail at alloc_cpu.cpp": lambda *_: torch.empty(1 << 60),
    "ZeroDivisionError: division by zero": lambda *_: 1 / 0,
    "a number was not finite": lambda *_: (EXIT_NOT_FINITE, None, None),
}


def run(path, *words, happen=None, space=SPACE, status=0, **plan):
    """Start or resume a sweep; return what it prints, and the rows of trials.csv by name.

    Args:
        happen: other trainings by the number of the trial; E of the others falls with the number.
    """

    def train_run(settings, trial, *rest):
        number = int(trial.name[-3:])
        good = pretend(lambda epoch: (2 - number / 10) / epoch)
        return (happen or {}).get(number, good)(settings, trial, *rest)

    where, config = ["--resume", path], path.with_suffix(".yaml")
    if not path.exists():
        plan = {"strategy": "random", "trials": 2, **plan}
        config.write_text(json.dumps({"train": {"epochs": EPOCHS}, "sweep": plan, "space": space}))
        where = ["-c", config, "--out", path]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_module, "train_run", train_run)
        out, _ = crossent("sweep", *where, *words, status=status)
    rows = csv.DictReader((path / "trials.csv").read_text().splitlines())
    return out, sorted(rows, key=lambda row: row["trial"])


def values(rows, *names):
    return [tuple(row[name] for name in names) for row in rows]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Return a sweep with every kind of trial: its folder, output and rows."""
    path = tmp_path_factory.mktemp("mixed") / "sweep"
    rising, hopeless = pretend(lambda epoch: 1.9 + epoch / 10), pretend(lambda epoch: 50 / epoch)
    happen = {1: rising, **dict(enumerate(FAULTS.values(), start=3)), 11: hopeless}
    return path, *run(path, happen=happen, trials=13)


def test_each_trial_ends_in_its_own_way(mixed):
    """A trial that fails does not end the sweep, and a hopeless one is stopped."""
    path, out, rows = mixed
    states = [row["state"] for row in rows]
    assert states == ["done"] * 2 + ["failed"] * 4 + ["done"] * 4 + ["pruned"] + ["done"] * 2
    for row in (rows[0], rows[1]):
        found = load_settings(path / row["trial"] / "config.yaml").settings
        assert found.optim.lr == float(row["optim.lr"]) and 0.001 <= found.optim.lr <= 1
        assert found.train.mixup == float(row["train.mixup"])
    assert float(rows[0]["E"]) == 2.0, "of its first epoch, which is kept"
    assert float(rows[1]["E"]) == 1.8 / EPOCHS, "of its last epoch"
    for row, reason, line in zip(rows[2:6], FAULTS, out.splitlines()[2:6], strict=True):
        assert row["E"] == "" and row["reason"].startswith(reason)
        assert f"trial={row['trial']}  state=failed" in line and f"reason={reason}" in line
    assert values(rows[10:11], "E", "epoch") == [("50.0", "1")]


def test_table_files_and_plots(mixed):
    path, out, rows = mixed
    table = out[out.index("13 trials: 8 done, 1 pruned, 4 failed\n") :]
    done = sorted((row for row in rows if row["state"] == "done"), key=lambda row: float(row["E"]))
    expected = [[row["trial"], "done", f"{float(row['E']):.4g}"] for row in done]
    assert [line.split()[:3] for line in table.splitlines()[3:11]] == expected
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
        run(tmp_path / "sweep", happen={2: KILLED}, **grid)
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
            run(tmp_path / "sweep", happen={1: KILLED})
    rows = run(tmp_path / "sweep")[1]
    assert values(rows, "state") == [("failed",), ("done",)]
    assert "its process was killed" in rows[0]["reason"]


def test_a_sweep_without_a_finished_trial_fails(tmp_path):
    out, rows = run(tmp_path / "sweep", happen={1: REFUSED, 2: REFUSED}, status=2)
    assert "2 trials: 2 failed" in out and "vit" in rows[0]["reason"]
