"""Where the time of a run went: the sums, by a clock that the test turns, and the line."""

import json
import time

import pytest

from crossent.training.loop import Progress
from crossent.training.timing import Laps, where_it_went
from tests.training.parts import make_run


def test_each_lap_lasts_from_the_one_before_it():
    laps = Laps(clock=iter([10.0, 11.5, 12.0, 15.0]).__next__)
    for name in ("wait", "augment", "wait"):
        laps(name)
    assert {name: s for name, s in laps.seconds.items() if s} == {"wait": 4.5, "augment": 0.5}


@pytest.mark.parametrize(
    ("longest", "advice", "gain"),
    [("wait", "a faster disk below data.cache_dir", "4"), ("validation", "data.val_fraction", "4")],
)
def test_the_line_gives_the_shares_and_what_would_help_most(longest, advice, gain):
    laps = Laps()
    laps.add({"forward+backward": 1.0, longest: 6.0, "rest": 1.0})
    line = where_it_went(laps.seconds)
    assert line.startswith("8.0 s: start 0.0%, decode 0.0%, ")
    assert f"{longest} 75.0%" in line and "forward+backward 12.5%" in line
    assert advice in line and f"(without {longest}, {gain} times as fast)" in line


def test_a_run_accounts_for_all_its_time(tmp_path, capsys):
    run, start = make_run(tmp_path / "run"), time.perf_counter()
    run.trainer.laps.last = start
    run.start()
    run.fit()
    elapsed_s = time.perf_counter() - start
    time_s = run.folder.records()[-1]["time_s"]
    assert all(time_s[name] > 0 for name in ("augment", "forward+backward", "validation"))
    assert time_s["checkpoint"] > 0 and time_s["decode"] == 0
    assert sum(time_s.values()) <= elapsed_s + 0.01, "nothing counts twice"
    assert sum(run.trainer.laps.seconds.values()) == pytest.approx(elapsed_s, rel=0.05), "all of it"
    assert "Most would help: " in capsys.readouterr().out


def test_a_resumed_run_counts_on(tmp_path):
    stopped = make_run(tmp_path / "run")
    stopped.trainer.laps.add({"decode": 1000.0})
    stopped.start()
    resumed = make_run(tmp_path / "run")
    resumed.resume()
    resumed.fit()
    assert resumed.folder.records()[-1]["time_s"]["decode"] >= 1000


def test_a_checkpoint_of_before_is_still_read():
    saved = json.loads(json.dumps(Progress(epoch=2).to_dict()))
    del saved["time_s"]
    assert Progress.from_dict(saved) == Progress(epoch=2)
