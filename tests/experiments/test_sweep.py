"""The command `sweep` with real trainings: a kill and a stop in the middle, and mistakes."""

import signal

import pytest

from crossent.resume import first_difference
from crossent.training.run_folder import RunFolder
from tests.evaluation.parts import crossent, train
from tests.experiments.parts import InSecondEpoch
from tests.forked import ROOT, Command

TEXT = f"""
base: {ROOT}/tests/tiny.yaml
train: {{threads: 1, checkpoint_every: 1 steps}}
sweep: {{strategy: tpe, trials: 2}}
space:
  optim: {{lr: {{low: 0.01, high: 0.3, log: true}}}}
  train: {{batch_size: [8, 16]}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a sweep that was killed, stopped and resumed; and its three outputs."""
    folder = tmp_path_factory.mktemp("sweeps")
    path, config = folder / "sweep", folder / "sweep.yaml"
    config.write_text(TEXT)
    words = ("crossent", "sweep", "-c", config, "--out", path)
    killed = Command(folder, *words, mishap=InSecondEpoch("killed", "trial-002"))
    first, _ = killed.end(-signal.SIGKILL)
    resume = ("sweep", "--resume", path)
    stopped = Command(folder, "crossent", *resume, mishap=InSecondEpoch("SIGINT", "trial-002"))
    second, err = stopped.end(130)
    assert err == "" and not (path / "trials.csv").exists()
    return path, first, second, crossent(*resume)[0]


def test_a_sweep_killed_stopped_and_resumed_has_all_its_trials(finished, tmp_path):
    path, *outputs = finished
    assert outputs[1].splitlines()[-1] == (
        f"SIGINT: everything is saved; resume with: python -m crossent sweep --resume {path}"
    )
    Es = {run.name: RunFolder(run).records()[-1]["best_E"] for run in path.glob("trial-*")}
    assert sorted(Es) == ["trial-001", "trial-002"]
    for (name, E), out in zip(sorted(Es.items()), outputs[::2], strict=True):
        assert f"trial={name}  state=done  E={E:.4g}  " in out
    assert "2 trials: 2 done\n" in outputs[2]
    assert f"best: {min(Es, key=Es.get)}." in outputs[2]
    assert f"python train.py -c {path / 'best.yaml'} --out runs/sweep-best" in outputs[2]
    train("-c", path / "trial-002" / "config.yaml", "--out", tmp_path / "again")
    resumed, straight = RunFolder(path / "trial-002"), RunFolder(tmp_path / "again")
    assert first_difference(resumed, straight) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-c missing.yaml", "missing.yaml: No such file"),
        ("--resume configs", "configs is not a sweep folder"),
        ("-c tests/tiny.yaml", "tests/tiny.yaml:1: a sweep needs a section space"),
        ("--resume SWEEP optim.lr=0.2", "only sweep.trials: leave out optim.lr=0.2"),
        ("--resume SWEEP --out elsewhere", "leave out --out"),
        ("-c SWEEP/best.yaml --out SWEEP", "is already used"),
        ("-c configs/sweeps/photos.yaml data.root=gone --out SWEEP/new", "gone"),
    ],
)
def test_a_mistake_is_one_sentence(words, message, monkeypatch, finished):
    monkeypatch.chdir(ROOT)
    path = finished[0]
    assert message in crossent("sweep", *words.replace("SWEEP", str(path)).split(), status=2)[1]
    assert not (path / "new").exists(), "no trial was begun"


def test_one_process_works_on_a_sweep(finished):
    with RunFolder(finished[0]).in_use():
        assert "in use by another" in crossent("sweep", "--resume", finished[0], status=2)[1]
