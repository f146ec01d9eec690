"""The command `sweep`: its output, a kill and a stop in the middle, mistakes."""

import signal

import pytest

from crossent.__main__ import main
from crossent.errors import UserError
from crossent.experiments import sweep as sweep_module
from crossent.training.run_folder import RunFolder
from crossent.training.signals import SIGNALS
from crossent.verify_resume import first_difference
from tests.experiments.parts import InSecondEpoch
from tests.forked import ROOT, Command

TRIALS = ("trial-001", "trial-002")
TEXT = f"""
base: {ROOT}/tests/tiny.yaml
train: {{threads: 1, checkpoint_every: 1 steps}}
sweep: {{strategy: tpe, trials: 2}}
space:
  optim: {{lr: {{low: 0.01, high: 0.3, log: true}}}}
  train: {{batch_size: [8, 16]}}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "sweep.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    """Return the folder of a finished sweep, and its output."""
    folder = tmp_path_factory.mktemp("sweeps")
    command = Command(folder, "crossent", "sweep", "-c", config, "--out", folder / "sweep")
    return folder / "sweep", command.end(status=0)[0]


def test_a_line_per_trial_and_the_best_at_the_end(finished):
    folder, out = finished
    Es = {name: RunFolder(folder / name).records()[-1]["best_E"] for name in TRIALS}
    for name, E in Es.items():
        assert f"trial={name}  state=done  E={E:.4g}  " in out
    assert "2 trials: 2 done\n" in out and f"best: {min(Es, key=Es.get)}." in out
    assert f"python train.py -c {folder / 'best.yaml'} --out runs/sweep-best" in out


def test_a_sweep_killed_stopped_and_resumed_has_all_its_trials(finished, config, tmp_path):
    folder = tmp_path / "sweep"
    words = ("crossent", "sweep", "-c", config, "--out", folder)
    Command(tmp_path, *words, mishap=InSecondEpoch("killed", "trial-002")).end(-signal.SIGKILL)
    stopped = InSecondEpoch("SIGINT", "trial-002")
    out, err = Command(tmp_path, "crossent", "sweep", "--resume", folder, mishap=stopped).end(130)
    assert out.splitlines()[-1] == (
        f"SIGINT: everything is saved; resume with: python -m crossent sweep --resume {folder}"
    )
    assert err == "" and not (folder / "trials.csv").exists()
    out, _ = Command(tmp_path, "crossent", "sweep", "--resume", folder).end(status=0)
    assert "2 trials: 2 done" in out
    for name in TRIALS:  # the second was resumed from its checkpoint twice
        assert first_difference(RunFolder(finished[0] / name), RunFolder(folder / name)) is None
    assert {path.name for path in folder.glob("trial-*")} == set(TRIALS)


def test_a_sweep_without_a_finished_trial_fails(config, tmp_path, monkeypatch, capsys):
    def refused(*_):
        raise UserError("data.image_size is 64; vit takes 224 only")

    monkeypatch.setattr(sweep_module, "train_run", refused)
    handlers = {s: signal.getsignal(s) for s in SIGNALS}
    try:
        with pytest.raises(UserError, match="no trial of"):
            main(["sweep", "-c", str(config), "--out", str(tmp_path / "sweep")])
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
    assert "2 trials: 2 failed" in capsys.readouterr().out
    assert "vit" in (tmp_path / "sweep" / "trials.csv").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-c", "missing.yaml"], "missing.yaml: No such file"),
        (["--resume", "configs"], "configs is not a sweep folder"),
        (["-c", "tests/tiny.yaml"], "tests/tiny.yaml:1: a sweep needs a section space"),
        (["--resume", "SWEEP", "optim.lr=0.2"], "only sweep.trials: leave out optim.lr=0.2"),
        (["--resume", "SWEEP", "--out", "elsewhere"], "leave out --out"),
        (["-c", "SWEEP/best.yaml", "--out", "SWEEP"], "is already used"),
        (["-c", "configs/sweeps/photos.yaml", "data.root=gone", "--out", "SWEEP/new"], "gone"),
    ],
    ids=lambda value: " ".join(value[1:])[:40],
)
def test_a_mistake_is_one_sentence(words, message, monkeypatch, finished):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=message) as caught:
        main(["sweep", *(word.replace("SWEEP", str(finished[0])) for word in words)])
    assert "\n" not in str(caught.value)
    assert not (finished[0] / "new").exists(), "no trial was begun"


def test_one_process_works_on_a_sweep(finished):
    with RunFolder(finished[0]).in_use(), pytest.raises(UserError, match="in use by another"):
        main(["sweep", "--resume", str(finished[0])])
