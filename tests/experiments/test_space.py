"""A sweep in YAML: what is read, and each mistake with its line."""

import pytest

from crossent.errors import UserError
from crossent.experiments.space import load_sweep

HEAD = "train: {epochs: 7}\nsweep: {strategy: random, trials: 9}\nspace:\n"  # three lines


@pytest.fixture
def sweep(tmp_path):
    def write(text):
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return str(path)

    return write


def mistakes(path, *overrides):
    with pytest.raises(UserError) as caught:
        load_sweep(path, overrides)
    return [line.replace(path, "FILE") for line in str(caught.value).splitlines()]


def test_a_sweep_is_a_config_with_two_more_sections_and_is_written_as_it_was_read(sweep):
    text = HEAD + (
        "  optim: {lr: {low: 1e-3, high: 1, log: true}}\n"
        "  train: {ema: [null, 2.0], epochs: {low: 2, high: 10}}\n"
        "  model: {name: [small_cnn, torchvision/resnet18]}\n"
    )
    found = load_sweep(sweep(text), ["seed=4", "sweep.trials=5"])
    assert found.settings.train.epochs == 7 and found.settings.seed == 4
    assert found.plan.strategy == "random" and found.num_trials == 5
    assert found.space == {
        "optim.lr": {"low": 0.001, "high": 1, "log": True},
        "train.ema": [None, 2.0],
        "train.epochs": {"low": 2, "high": 10},
        "model.name": ["small_cnn", "torchvision/resnet18"],
    }
    assert load_sweep(sweep(found.to_yaml())) == found


def test_a_sweep_can_start_from_another(sweep, tmp_path):
    (tmp_path / "base.yaml").write_text("sweep: {strategy: grid}\nspace: {seed: [1]}\n")
    assert load_sweep(sweep("base: base.yaml\n")).space == {"seed": [1]}
    found = load_sweep(sweep("base: base.yaml\nspace: {train: {epochs: [1, 2], ema: [1.0, 2.0]}}"))
    assert "seed" not in found.space and found.num_trials == 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optim: {lrr: [1]}", "optim.lrr is not a setting; did you mean optim.lr?"),
        ("optim: {lr: 0.1}", "lr must be a list of words or numbers, or a range such as {low"),
        ("optim: {lr: []}", "optim.lr must be a list of words or numbers"),
        ("optim: {lr: [0.1, -1]}", "optim.lr must be greater than 0; got -1"),
        ("optim: {lr: {low: 1, high: 0.1}}", "optim.lr: `low <= high` must hold"),
        ("optim: {lr: {low: 0.1, high: 1, lg: true}}", "or a range such as {low: 0.01"),
        ("optim: {nesterov: {low: 0, high: 1}}", "optim.nesterov must be a valid boolean; got 0"),
        ("train: {ema: {low: null, high: 3}}", "train.ema: "),
        ("data: {mean: [[0.5, 0.5, 0.5]]}", "data.mean must be a list of words or numbers"),
        ("data: {val_fraction: [0.1, 0.2]}", "data.val_fraction cannot be tried: trials"),
        ("model: {name: [small_cmn]}", "did you mean small_cnn?"),
        ("optim: 3", "optim is a section, not a value"),
    ],
    ids=lambda value: value[:40],
)
def test_a_mistake_in_the_space(sweep, line, message):
    (found,) = mistakes(sweep(HEAD + f"  {line}\n"))
    assert found.startswith("FILE:4: ") and message in found


GRID = "sweep: {strategy: grid}\nspace:\n  optim: {lr: {low: 0.1, high: 1}}\n"
WITH_FOLDS = "data: {source: folder, root: x,\n folds: 5}\nspace: {seed: [1]}\n"
SEEDS = HEAD + "  seed: [0, 1]\n"


@pytest.mark.parametrize(
    ("text", "argument", "message"),
    [
        ("seed: 1\n", [], "FILE:1: a sweep needs a section space"),
        ("seed: 1\nspace: 3\n", [], "FILE:2: a sweep needs a section space"),
        (GRID, [], "FILE:3: optim.lr must be a list of words or numbers; got {"),
        (WITH_FOLDS, [], "FILE:2: a trial trains one split: leave out data.folds, and run data.fo"),
        (SEEDS, ["space.optim.lr=[1]"], "argument space.optim.lr=[1]: space.optim.lr is "),
        (SEEDS, ["space=3"], "argument space=3: space is "),
        (SEEDS, ["sweep=5"], "argument sweep=5: sweep is "),
    ],
    ids=str,
)
def test_a_mistake_in_the_sweep_as_a_whole(sweep, text, argument, message):
    (found,) = mistakes(sweep(text), *argument)
    assert found.startswith(message)


def test_all_mistakes_at_once(sweep):
    text = "optim:\n  lrr: 1\nsweep:\n  strategy: gird\n  trails: 3\nspace:\n  seed: 1\n"
    found = mistakes(sweep(text), "sweep.trials=0")
    assert found[:4] == [
        "FILE:2: optim.lrr is not a setting; did you mean optim.lr?",
        "FILE:4: sweep.strategy must be 'grid', 'random' or 'tpe'; got 'gird'; did you mean grid?",
        "FILE:5: sweep.trails is not a setting; did you mean sweep.trials?",
        "argument sweep.trials=0: sweep.trials must be greater than or equal to 1; got 0",
    ]
    assert len(found) == 5 and found[4].startswith("FILE:7: seed must be a list of words")


@pytest.mark.parametrize("name", ["smoke", "photos"])
def test_the_sweeps_of_the_repository(name):
    root = ["data.root=here"] if name == "photos" else []
    assert load_sweep(f"configs/sweeps/{name}.yaml", root).num_trials > 1
