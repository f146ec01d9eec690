"""The benchmark runs at all, at a tiny size. How fast anything is, no test says."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from data.drawings import draw, label

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_benchmark_prints_a_row_for_each_contender(tmp_path):
    for index in range(30):
        path = tmp_path / ["dog", "fox", "wolf"][label(index)] / f"{index}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw(0, index, 48)).save(path)
    words = [tmp_path, "--rounds=1", "--epochs=2", "--image-size=32", "--batch-size=8"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.throughput", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")]
    names = [row[0].strip() for row in rows[1:]]
    assert names[:4] == [
        "crossent, cold cache", "crossent, warm cache", "plain PyTorch loop", "plain loop, tuned",
    ]  # fmt: skip
    for row in rows[1:]:
        assert float(row[1].split()[0]) > 0, row
    plain = rows[1 + names.index("plain PyTorch loop")]
    assert float(plain[2]) == 1.0
