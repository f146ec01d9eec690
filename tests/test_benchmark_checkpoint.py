"""The benchmark of checkpoints runs; its numbers are for a person to judge."""

import re
import subprocess
import sys

from tests.forked import ROOT


def test_it_runs_and_leaves_nothing_behind():
    before = set(ROOT.iterdir())
    words = ["-m", "benchmarks.checkpoint", "-c", "configs/smoke.yaml", "--repeats=2"]
    process = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    assert re.search(r"one each [\d.]+ s: \d+\.\d\d% of the time\n$", process.stdout)
    assert {path for path in ROOT.iterdir() if path.name.startswith("tmp")} <= before
