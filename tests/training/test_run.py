"""A run in this process: its log, its last lines, its lock."""

import errno
import math
import os

import pytest

from crossent.training.console import HEADINGS, Console
from crossent.training.run_folder import RunFolder
from tests.training.parts import make_run


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
    run = make_run(tmp_path / "run")
    run.start()
    run.folder.append({"kind": "epoch", "train": {"E": E_train}, "val": {"E": 1e30}})
    run.folder.append({"kind": "end"})
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
