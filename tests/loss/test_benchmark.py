"""The benchmark runs; its numbers are for people, and no test hangs on them."""

import sys

from benchmarks import loss


def test_the_benchmark_prints_a_row_for_each_case(monkeypatch, capsys):
    command = ["benchmarks.loss", "--shapes", "8x3", "5x7", "--rounds", "2", "--no-memory"]
    monkeypatch.setattr(sys, "argv", command)
    loss.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 8x3 ")]
    assert len(rows) == 6  # two dtypes, three kinds of label
    assert all(float(row.split("|")[6]) > 0 for row in rows)
