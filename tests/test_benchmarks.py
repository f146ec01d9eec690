"""The benchmarks run at all, at a tiny size. How fast anything is, no test says."""

import os
import subprocess
import sys

import pytest
from PIL import Image

from benchmarks.page import ROOT, spread, write_section
from data.drawings import draw, label


def rows_of(*words):
    """The rows of the tables that a benchmark prints, without their heads."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    heads = [lines.index(line) - 1 for line in lines if line.startswith("|---")]
    rows = [line for number, line in enumerate(lines) if number not in heads]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows if row[:4] != "|---"]


def number(cell):
    return float(cell.split()[0].replace(",", ""))


@pytest.mark.slow
def test_the_benchmark_prints_a_row_for_each_contender(tmp_path):
    for index in range(30):
        path = tmp_path / ["dog", "fox", "wolf"][label(index)] / f"{index}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw(0, index, 48)).save(path)
    words = [tmp_path, "--rounds=1", "--epochs=2", "--image-size=32", "--batch-size=8"]
    rows = rows_of("benchmarks.throughput", *words)
    names = [row[0] for row in rows]
    assert names[:4] == [
        "crossent, cold cache", "crossent, warm cache", "plain PyTorch loop", "plain loop, tuned",
    ]  # fmt: skip
    for row in rows:
        assert number(row[1]) > 0 and number(row[4]) > 0, row
    assert number(rows[2][2]) == 1.0
    assert names[-1] == "ceiling: the model alone" and rows[-1][3] == "100.0%"


@pytest.mark.slow
def test_each_way_to_compute_a_step_gets_a_row():
    rows = rows_of("benchmarks.ceiling", "--rounds=1", "--seconds=0", "--no-compile")
    assert rows[0][0] == "as crossent trains" and number(rows[0][2]) == 1.0
    assert len(rows) == 14 and all(number(row[1]) > 0 for row in rows)


@pytest.mark.slow
def test_one_process_and_two_are_compared():
    small = ("--config=configs/smoke.yaml", "--num-images=60", "--epochs=1", "--rounds=1")
    rows = rows_of("benchmarks.command", *small)
    names = ["`python train.py --help`", "`python -m crossent --help`"]
    assert [row[0] for row in rows[:2]] == names
    assert [row[0] for row in rows[2:]] == ["1 process, 2 threads", "2 processes, 1 thread each"]
    assert all(number(row[1]) > 0 for row in rows)


@pytest.mark.slow
def test_each_size_of_the_data_set_gets_a_row():
    rows = rows_of("benchmarks.size", "--sizes", 40, 1200, "--steps=12", "--rounds=1")
    assert [row[0] for row in rows] == ["40", "1,200"]
    assert all(number(cell) > 0 for row in rows for cell in (row[1], row[2], row[4], row[5]))


def test_a_section_replaces_the_one_of_its_title(tmp_path):
    page = tmp_path / "page.md"
    for title, text in (("First", "one"), ("Second", "two"), ("First", "1\n\n### of it")):
        write_section(title, text, page)
    body = page.read_text().split("## First", 1)[1]
    assert body == "\n\n1\n\n### of it\n\n## Second\n\ntwo\n"


def test_a_cell_is_the_median_with_the_extremes():
    assert spread([3.0, 1234.5, 7.0], 1) == "7.0 (3.0 to 1,234.5)"
