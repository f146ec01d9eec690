"""A sweep in YAML: what is read, and each mistake with its line."""

import pytest

from crossent.errors import UserError
from crossent.experiments.sweep import load_sweep
from tests.forked import ROOT

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
