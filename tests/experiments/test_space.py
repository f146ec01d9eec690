"""A sweep in YAML: what it says, and every mistake with its line."""

import pytest

from crossent.errors import UserError
from crossent.experiments.space import Choices, Range, load_sweep

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
        load_sweep(path, overrides, ("small_cnn", "torchvision/NAME"))
    return [line.replace(path, "FILE") for line in str(caught.value).splitlines()]


def test_a_sweep_is_a_config_with_two_more_sections(sweep):
    text = HEAD + "  optim: {lr: {low: 1e-3, high: 1, log: true}}\n  train: {mixup: [0.0, 1.0]}\n"
    found = load_sweep(sweep(text), ["seed=4", "sweep.trials=5"])
    assert found.settings.train.epochs == 7 and found.settings.seed == 4
    assert found.plan.strategy == "random" and found.num_trials == 5
    assert found.space == {
        "optim.lr": Range(low=0.001, high=1, log=True), "train.mixup": Choices((0.0, 1.0)),
    }  # fmt: skip


def test_written_and_read_again_it_is_the_same(sweep, tmp_path):
    text = HEAD + (
        "  seed: [0, 1]\n  optim: {lr: {low: 1e-3, high: 1, log: true}}\n"
        "  train: {ema: [null, 2.0], epochs: {low: 2, high: 10, step: 4}}\n"
    )
    found = load_sweep(sweep(text), ["model.width=9"])
    (tmp_path / "again.yaml").write_text(found.to_yaml())
    assert load_sweep(str(tmp_path / "again.yaml")) == found


def test_a_grid_is_all_combinations(sweep):
    axes = "{epochs: {low: 2, high: 9, step: 3}, ema: [null, 1.0]}"
    text = f"sweep: {{strategy: grid}}\nspace:\n  train: {axes}\n"
    found = load_sweep(sweep(text))
    points = [(point["train.epochs"], point["train.ema"]) for point in found.grid()]
    assert points == [(2, None), (2, 1.0), (5, None), (5, 1.0), (8, None), (8, 1.0)]
    assert found.num_trials == 6


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optim: {lrr: [1]}", "optim.lrr is not a setting; did you mean optim.lr?"),
        (
            "optim: {lr: 0.1}",
            "optim.lr must be a list of words or numbers, or a range such as {low",
        ),
        ("optim: {lr: []}", "optim.lr must be a list of words or numbers"),
        ("optim: {lr: [0.1, -1]}", "optim.lr must be greater than 0; got -1"),
        ("optim: {lr: {low: 0.1}}", "optim.lr: a range needs low and high"),
        ("optim: {lr: {low: 1, high: 0.1}}", "optim.lr: low must be below high"),
        ("optim: {lr: {low: 0, high: 1}}", "optim.lr must be greater than 0; got 0"),
        ("optim: {weight_decay: {low: 0, high: 1, log: true}}", "a log range starts above 0"),
        ("optim: {lr: {low: 0.1, high: 1, lg: true}}", "lg is not a setting; did you mean log?"),
        ("optim: {lr: {low: a, high: 1}}", "optim.lr: low must be a number; got 'a'"),
        ("optim: {lr: {low: 0.1, high: 1, step: 0}}", "optim.lr: step must be a number above 0"),
        (
            "optim: {lr: {low: 0.1, high: 1, step: 0.1, log: true}}",
            "a log range starts above 0, without step",
        ),
        ("optim: {nesterov: {low: 0, high: 1}}", "optim.nesterov must be true or false; got 0"),
        ("model: {width: {low: 8, high: 32.5}}", "model.width must be a valid integer"),
        ("model: {width: {low: 8, high: 32, step: 0.5}}", "model.width must be a valid integer"),
        ("data: {mean: [[0.5, 0.5, 0.5]]}", "data.mean must be a list of words or numbers"),
        ("data: {val_fraction: [0.1, 0.2]}", "data.val_fraction cannot be tried: trials"),
        ("data: {folds: [2, 3]}", "data.folds cannot be tried"),
        ("train: {minutes: [1.0]}", "train.minutes cannot be tried"),
        ("model: {name: [small_cmn]}", "did you mean small_cnn?"),
        ("optim: 3", "optim is a section, not a value"),
    ],
    ids=lambda value: value[:40],
)
def test_a_mistake_in_the_space(sweep, line, message):
    (found, *more) = mistakes(sweep(HEAD + f"  {line}\n"))
    assert found.startswith("FILE:4: ") and message in found
    assert len(more) <= 1  # both ends of a range may be wrong


def test_all_mistakes_at_once(sweep):
    text = "optim:\n  lrr: 1\nsweep:\n  strategy: gird\n  trails: 3\nspace:\n  seed: 1\n"
    assert mistakes(sweep(text), "sweep.trials=0") == [
        "FILE:2: optim.lrr is not a setting; did you mean optim.lr?",
        "FILE:4: sweep.strategy must be 'grid', 'random' or 'tpe'; got 'gird'; did you mean grid?",
        "FILE:5: sweep.trails is not a setting; did you mean sweep.trials?",
        "argument sweep.trials=0: sweep.trials must be greater than or equal to 1; got 0",
        "FILE:7: seed must be a list of words or numbers, or a range such as "
        "{low: 0.01, high: 0.3, log: true}; got 1",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\n", "a sweep needs a section space"),
        ("space: 3\n", "a sweep needs a section space"),
        ("- a list\n", "a sweep needs a section space"),
        (
            "sweep: {strategy: grid}\nspace: {optim: {lr: {low: 0.1, high: 1}}}\n",
            "optim.lr: a grid needs a list of values, or a step",
        ),
        (
            "sweep: {strategy: grid}\nspace: {seed: {low: 0, high: 90000, step: 1}}\n",
            "the grid has more than 10,000 combinations",
        ),
        (
            "sweep: {strategy: grid}\nspace: {optim: {lr: {low: 1, high: 9e99, step: 1e-300}}}\n",
            "the grid has more than 10,000 combinations",
        ),
    ],
)
def test_a_mistake_of_the_whole(sweep, text, message):
    assert any(message in line for line in mistakes(sweep(text)))


@pytest.mark.parametrize(
    "argument", ["space.optim.lr=[0.1]", "space=3", "space={optim: {lr: [1]}}", "sweep=5"]
)
def test_an_argument_that_would_say_nothing(sweep, argument):
    (found,) = mistakes(sweep(HEAD + "  seed: [0, 1]\n"), argument)
    name = argument.partition("=")[0]
    assert found.startswith(f"argument {argument}: {name} ")


@pytest.mark.parametrize("line", ["sweep.trials: 3", "space.seed: [0, 1]"])
def test_a_line_that_would_say_nothing(sweep, line):
    name = line.partition(":")[0]
    (found,) = mistakes(sweep(f"{line}\n{HEAD}  seed: [0, 1]\n"))
    assert found.startswith(f"FILE:1: {name} ")


def test_a_sweep_cannot_start_from_another(sweep, tmp_path):
    (tmp_path / "base.yaml").write_text("space: {seed: [1]}\n")
    assert mistakes(sweep("base: base.yaml\nspace: {seed: [0, 1]}\n")) == [
        f"{tmp_path / 'base.yaml'}:1: a sweep cannot start from another sweep"
    ]


def test_trials_are_not_timed(sweep):
    text = HEAD.replace("epochs: 7", "minutes: 2.0") + "  seed: [0, 1]\n"
    (found,) = mistakes(sweep(text))
    assert found.startswith("FILE:1: train.minutes ") and "train.epochs" in found
    (found,) = mistakes(sweep(HEAD + "  seed: [0, 1]\n"), "train.minutes=2.0")
    assert found.startswith("argument train.minutes=2.0: train.minutes ")


def test_any_name_of_a_family_can_be_tried(sweep):
    path = sweep(HEAD + "  model: {name: [small_cnn, torchvision/resnet18]}\n")
    found = load_sweep(path, (), ("small_cnn", "torchvision/NAME"))
    assert found.space == {"model.name": Choices(("small_cnn", "torchvision/resnet18"))}


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"missing\.yaml does not exist"):
        load_sweep(str(tmp_path / "missing.yaml"))


@pytest.mark.parametrize("name", ["smoke", "photos"])
def test_the_sweeps_of_the_repository(name):
    root = ["data.root=here"] if name == "photos" else []
    assert load_sweep(f"configs/sweeps/{name}.yaml", root).num_trials > 1
