"""A sweep: its YAML with the line of each mistake; real trainings, killed and resumed."""

import signal

import pytest

from crossent.errors import UserError
from crossent.experiments.sweep import load_sweep
from crossent.resume import first_difference
from crossent.training.run_folder import RunFolder
from tests.evaluation.parts import crossent, train
from tests.experiments.parts import InSecondEpoch
from tests.forked import ROOT, Command

HEAD = "train: {epochs: 7}\nsweep: {strategy: random, trials: 9}\nspace:\n"  # three lines
SEEDS = HEAD + "  seed: [0, 1]\n"


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(text, *overrides, name="sweep.yaml"):
    with open(name, "w") as file:
        file.write(text)
    return load_sweep(name, overrides)


def test_a_sweep_is_a_config_with_two_more_sections_and_is_written_as_it_was_read():
    text = HEAD + (
        "  optim: {lr: {low: 1e-3, high: 1, log: true}}\n"
        "  train: {ema: [null, 2.0], epochs: {low: 2, high: 10}}\n"
        "  model: {name: [small_cnn, torchvision/resnet18]}\n"
        "  seed: {low: 1, high: 5}\n"
    )
    found = read(text, "seed=4", "sweep.trials=5")
    assert found.train.epochs == 7 and found.seed == 4
    assert found.sweep.strategy == "random" and found.num_trials == 5
    assert found.space == {
        "optim.lr": {"low": 0.001, "high": 1, "log": True},
        "train.ema": [None, 2.0],
        "train.epochs": {"low": 2, "high": 10},
        "model.name": ["small_cnn", "torchvision/resnet18"],
        "seed": {"low": 1, "high": 5},
    }
    assert read(found.to_yaml()) == found


def test_a_sweep_can_start_from_another():
    read("sweep: {strategy: grid}\nspace: {seed: [1]}\n", name="base.yaml")
    assert read("base: base.yaml\n").space == {"seed": [1]}
    found = read("base: base.yaml\nspace: {train: {epochs: [1, 2], ema: [1.0, 2.0]}}")
    assert "seed" not in found.space and found.num_trials == 4


LINES = {
    "optim: {lrr: [1]}": "optim.lrr is not a setting; did you mean optim.lr?",
    "optim: {lr: 0.1}": "optim.lr must be a list of words or numbers, or a range such as {low: 0",
    "optim: {lr: []}": "optim.lr must be a list of words or numbers",
    "optim: {lr: [0.1, -1]}": "optim.lr must be greater than 0; got -1",
    "optim: {lr: {low: 1, high: 0.1}}": "optim.lr: `low <= high` must hold",
    "optim: {lr: {low: 0.1, high: 1, lg: true}}": "optim.lr must be a list of words or numbers",
    "optim: {nesterov: {low: 0, high: 1}}": "optim.nesterov must be a valid boolean; got 0",
    "train: {ema: {low: null, high: 3}}": "train.ema: ",
    "data: {mean: [[0.5, 0.5, 0.5]]}": "data.mean must be a list of words or numbers",
    "data: {val_fraction: [0.1, 0.2]}": "data.val_fraction cannot be tried: trials",
    "model: {name: [small_cmn]}": "model.name must be 'small_cnn', ",
    "optim: 3": "optim is a section, not a value",
}
FILES = {
    "seed: 1\n": "sweep.yaml:1: a sweep needs a section space",
    "seed: 1\nspace: 3\n": "sweep.yaml:2: a sweep needs a section space",
    "sweep: {strategy: grid}\nspace:\n  optim: {lr: {low: 0.1, high: 1}}\n":
        "sweep.yaml:3: optim.lr must be a list of words or numbers; got {",
    "data: {source: folder, root: x,\n folds: 5}\nspace: {seed: [1]}\n":
        "sweep.yaml:2: a trial trains one split: leave out data.folds, and run data.folds=5 ",
}  # fmt: skip
ARGUMENTS = ["space.optim.lr=[1]", "space=3", "sweep=5"]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        *((f"{HEAD}  {line}\n", [], f"sweep.yaml:4: {found}") for line, found in LINES.items()),
        *((text, [], found) for text, found in FILES.items()),
        *((SEEDS, [a], f"argument {a}: {a.partition('=')[0]} is ") for a in ARGUMENTS),
    ],
)
def test_a_mistake_is_told_with_its_place(text, arguments, message):
    with pytest.raises(UserError) as caught:
        read(text, *arguments)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_all_mistakes_at_once():
    text = "optim:\n  lrr: 1\nsweep:\n  strategy: gird\n  trails: 3\nspace:\n  seed: 1\n"
    with pytest.raises(UserError) as caught:
        read(text, "sweep.trials=0")
    *found, last = str(caught.value).replace("sweep.yaml", "FILE").splitlines()
    assert found == [
        "FILE:2: optim.lrr is not a setting; did you mean optim.lr?",
        "FILE:4: sweep.strategy must be 'grid', 'random' or 'tpe'; got 'gird'; did you mean grid?",
        "FILE:5: sweep.trails is not a setting; did you mean sweep.trials?",
        "argument sweep.trials=0: sweep.trials must be greater than or equal to 1; got 0",
    ]
    assert last.startswith("FILE:7: seed must be a list of words")


@pytest.mark.parametrize("name", ["smoke", "photos"])
def test_the_sweeps_of_the_repository(name):
    root = ["data.root=here"] if name == "photos" else []
    assert load_sweep(f"{ROOT}/configs/sweeps/{name}.yaml", root).num_trials > 1


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
