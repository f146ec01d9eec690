"""All mistakes are reported at once, each with its line, the expected and the given value."""

import re

import pytest

from crossent.config import FIELDS
from models import MODELS

PATH = "a path such as ../photos, in quotes if it is a number; got "
WEIGHTS = "'none', 'balanced' or a list with one number above 0 per class; got "
MODEL = ", ".join(map(repr, MODELS)) + ", 'timm/NAME' or, for example, 'torchvision/"
GPU = "'auto', 'cpu', 'cuda', 'mps' or one GPU such as 'cuda:1'; got "
EVERY = "a number of seconds above 0, or steps such as '500 steps'; got "
VALUES = {
    "seed=-1": "greater than or equal to 0; got -1",
    f"seed={2**63}": f"less than or equal to {2**63 - 1}; got {2**63}",
    "optim.lr=abc": "a valid number; got 'abc'",
    "optim.lr=.nan": "a finite number; got nan",
    "optim.lr='0.1'": "a valid number; got '0.1'",
    "optim.nesterov=yes": "a valid boolean; got 'yes'",
    "train.epochs=3.0": "a valid integer; got 3.0",
    "train.device=cuda1": GPU + "'cuda1'; did you mean cuda:1?",
    "train.checkpoint_every=5 stps": EVERY + "'5 stps'; did you mean 500 steps?",
    "train.precision=fp16": "'auto', 'fp32' or 'bf16'; got 'fp16'; did you mean bf16?",
    "model.name=smal_cnn": MODEL + "resnet18'; got 'smal_cnn'; did you mean small_cnn?",
    "model.name=resnet50": MODEL + "resnet50'; got 'resnet50'; did you mean torchvision/resnet50?",
    "data.sampling=balance": "'natural' or 'balanced'; got 'balance'; did you mean balanced?",
    "data.mean=[0.5, 0.5]": "three numbers in (0, 1]; got [0.5, 0.5]",
    "data.root=2024": PATH + "2024",
    'data.root="a\\0b"': PATH + "'a\\x00b'",
    "loss.class_weights=balance": WEIGHTS + "'balance'; did you mean balanced?",
    "loss.class_weights=[1, 0]": WEIGHTS + "[1, 0]",
}


@pytest.mark.parametrize("argument", VALUES)
def test_wrong_value(mistakes, argument):
    name, _, value = argument.partition("=")
    words = f"{name} must be {VALUES[argument]}"
    section, _, key = name.rpartition(".")
    text = f"{section}:\n  {key}: {value}" if section else f"\n{key}: {value}"
    assert mistakes(text) == [f"fox.yaml:2: {words}"]
    assert mistakes("", [argument]) == [f"argument {argument}: {words}"]


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_refuses_what_no_setting_can_be(mistakes, name):
    (line,) = mistakes("", [name + "=[[[]]]"])
    assert line.startswith(f"argument {name}=[[[]]]: {name} must be ")
    assert line.endswith("; got [[[]]]")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("optim.lrr", "optim.lrr is not a setting; did you mean optim.lr?"),
        ("train.lr", "train.lr is not a setting; did you mean optim.lr?"),
        ("lr", "lr is not a setting; did you mean optim.lr?"),
        ("Seed", "Seed is not a setting; did you mean seed?"),
        ("optm", "optm is not a setting; did you mean optim?"),
        ("optim", "optim is a section, not a value; write its settings below it, such as optim.lr"),
        ("x" * 500, "x" * 57 + "... is not a setting"),
        ("<<", "<< is not a setting"),
    ],
)
def test_unknown_name(mistakes, name, words):
    section, _, key = name.rpartition(".")
    (line,) = mistakes(f"{section}:\n  {key}: 3" if section else f"\n{key}: 3")
    assert line == f"fox.yaml:2: {words}"
    (line,) = mistakes("", [f"{name}=3"])
    assert line.endswith(f": {words}")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("optim.lr", "expected section.key=value, such as optim.lr=0.1"),
        ("optim.lr=", "expected section.key=value, such as optim.lr=0.1; for no value: null"),
        ("optim=null", "optim is a section, not a value"),
        ("base=fox.yaml", "base is not a setting"),
        ("seed=" + "9" * 5000, "seed must be a valid integer; got inf"),
        ("loss.class_weights=[!!int 1]", "tags, anchors and aliases are refused"),
        ("loss.class_weights=[\udcff]", "unacceptable character #xdcff"),
    ],
)
def test_an_argument_that_cannot_be_read(mistakes, argument, words):
    (line,) = mistakes("", [argument])
    assert re.match(r"argument .{0,120}: ", line)
    assert words in line


def test_all_mistakes_in_files_and_arguments_come_at_once(mistakes, write):
    write("train:\n  epochs: 0", "base.yaml")
    content = "base: base.yaml\noptim:\n  lr: -1\n  lrr: 1\n  lrr: 2\nsedes: {a: 1, b: 2}"
    lines = mistakes(content, ["model.width=0", "nonsense", "model.with=1"])
    origins = sorted(line.partition(" ")[0] for line in lines)
    assert origins == ["argument"] * 3 + ["base.yaml:2:", *(f"fox.yaml:{n}:" for n in (3, 5, 5, 6))]
    (line,) = mistakes("- seed: 1")
    assert line == "fox.yaml:1: expected settings such as seed: 1, one key per line"


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        ("source: folder", "source", "folder needs data.root=FOLDER"),
        ("source: drawings, root: x", "root", "is not read with data.source drawings; use folder"),
        ("fold: 1", "fold", "must be from 1 to data.folds, the number of folds"),
        ("source: folder, root: x, folds: 2, fold: 3", "fold", "must be from 1 to data.folds"),
        ("source: cifar, folds: 5", "folds", "needs data.source folder"),
    ],
)
def test_contradictions(mistakes, settings, name, words):
    by_line = settings.replace(", ", "\n  ")
    number = 3 + [part.partition(":")[0] for part in settings.split(", ")].index(name)
    lines = mistakes(f"seed: -1\ndata:\n  {by_line}")
    assert lines[0].startswith("fox.yaml:1: seed must be")
    assert lines[1].startswith(f"fox.yaml:{number}: data.{name} {words}")


def test_all_contradictions_come_at_once_unless_another_mistake_hides_them(mistakes):
    (root, fold) = mistakes("data: {source: folder}", ["data.fold=1"])
    assert root.startswith("fox.yaml:1: data.source ")
    assert fold.startswith("argument data.fold=1: data.fold ")
    (line,) = mistakes("data: {source: foldr}", ["data.root=../photos"])
    assert line.startswith("fox.yaml:1: data.source must be ")
