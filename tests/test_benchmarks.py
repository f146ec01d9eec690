"""The benchmarks run at a tiny size, and their statistics are right. No test measures speed."""

import os
import subprocess
import sys

import pytest

from benchmarks import loss
from benchmarks.contest import PLAIN
from benchmarks.timing import ROOT, in_turn, watch
from tests.data.pictures import make_folder
from tests.evaluation.parts import CLASS_NAMES

TUNED = "plain loop, tuned"


def rows_of(*words):
    """Return the rows of the table that a benchmark prints, without its head."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def number(cell):
    return float(cell.split()[0].replace(",", ""))


@pytest.fixture
def pictures(tmp_path):
    return make_folder(tmp_path / "pictures", dict.fromkeys(CLASS_NAMES, 20))


@pytest.mark.minutes
@pytest.mark.parametrize("other", [False, True], ids=["contenders", "two checkouts"])
def test_each_contender_gets_a_row(pictures, other):
    words = ["--rounds=1", "--epochs=1", *(["--against=."] if other else [])]
    rows = rows_of("benchmarks.throughput", pictures, *words)
    ours = ["crossent, cold cache", "crossent, warm cache"]
    there = [f"other checkout: {name}" for name in ours]
    assert [row[0] for row in rows[:4]] == ours + (there if other else [PLAIN, TUNED])
    assert number(rows[2][2]) == 1  # its own ratio
    assert all(number(cell) > 0 for row in rows for cell in row[1:])


@pytest.mark.minutes
def test_accuracy_has_a_row_for_each_config_and_contender(pictures):
    rows = rows_of("benchmarks.accuracy", pictures, "--seconds=1", "--rounds=1")
    ours = ["crossent, pretrained", "crossent, from scratch"]
    assert [row[0] for row in rows[:4]] == [*ours, PLAIN, TUNED]
    assert all(0 <= number(row[1]) <= 100 and number(row[2]) > 0 for row in rows)


@pytest.mark.minutes
def test_scale_measures_memory_checkpoints_and_starts(pictures):
    sizes = (1000, 5000)  # 4,000 more: their pixels take 71 MB; both fill a batch of validation
    words = ["--sizes", *sizes, "--rounds=1", "data.image_size=64", "model.width=4"]
    few, many = rows_of("benchmarks.scale", "size", *words)
    assert (few[0], many[0]) == ("1,000", "5,000")
    assert number(many[4]) - number(few[4]) < 50, "memory stays flat when the folder grows"
    saves = rows_of("benchmarks.scale", "checkpoint", "--rounds=1", "data.image_size=32")
    assert all(number(row[2]) > number(row[1]) for row in saves) and len(saves) == 3
    words = [f"--folder={pictures}", "--against=.", "--rounds=1", "model.width=8"]
    starts = rows_of("benchmarks.scale", "start", *words, "data.image_size=32")
    assert [len(row) for row in starts] == [4] * 4
    assert all(number(cell) > 0 for row in (few, many, *starts) for cell in row[1:])


def test_every_second_round_goes_backwards():
    order = iter(range(6))
    results = in_turn("ab", 3, lambda name, number: next(order))
    assert results == {"a": [0, 3, 4], "b": [1, 2, 5]}


def test_a_command_is_watched_until_its_end(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    line = '{{"kind": "epoch", "epoch": {0}, "images_per_s": {0}00}}'
    code = f"import time; time.sleep(0.3); open({str(metrics)!r}, 'w').write({{!r}})"
    lines = "".join(line.format(epoch) + "\n" for epoch in (1, 2, 3, 4)) + "torn"
    watched = watch(["-c", code.format(lines)], metrics=metrics)
    assert watched.images_per_s == 300  # without the first epoch
    assert 0.3 < watched.epochs[3][0] <= watched.seconds and len(watched.records) == 4


def test_the_loss_has_a_row_for_each_case(monkeypatch, capsys):
    command = ["benchmarks.loss", "--shapes", "8x3", "5x7", "--rounds", "2"]
    monkeypatch.setattr(sys, "argv", command)
    loss.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 8x3 ")]
    assert len(rows) == 6  # two dtypes, three kinds of label
    assert all(number(row.split("|")[6]) > 0 for row in rows)
