"""Every mistake is told at once, with its place, what was expected, what came, what was meant."""

import re

import pytest

from crossent.config import FIELDS

VALUES = [
    ("seed", "-1", "greater than or equal to 0; got -1"),
    ("seed", "9223372036854775808", "less than or equal to 9223372036854775807; got 922337203685"),
    ("optim.lr", "abc", "a valid number; got 'abc'"),
    ("optim.lr", "0", "greater than 0; got 0"),
    ("optim.lr", ".nan", "a finite number; got .nan"),
    ("optim.lr", "1e999", "a finite number; got .inf"),
    ("optim.lr", "true", "a valid number; got true"),
    ("optim.lr", "null", "a valid number; got null"),
    ("optim.lr", "{a: 1}", "a valid number; got {a: 1}"),
    ("optim.lr", "'0.1'", "a valid number; got '0.1'"),
    ("optim.momentum", "1", "less than 1; got 1"),
    ("optim.weight_decay", "-1", "greater than or equal to 0; got -1"),
    ("optim.nesterov", "yes", "true or false; got 'yes'"),
    ("optim.nesterov", "1", "true or false; got 1"),
    ("train.epochs", "3.0", "a valid integer; got 3.0"),
    ("train.epochs", "true", "a valid integer; got true"),
    ("train.threads", "0", "greater than or equal to 1; got 0"),
    (
        "train.device",
        "cuda1",
        "'auto', 'cpu', 'cuda', 'mps' or one GPU such as 'cuda:1'; got 'cuda1'",
    ),
    (
        "train.checkpoint_every",
        "5 stps",
        "a number of seconds above 0, or steps such as '500 steps'",
    ),
    ("train.checkpoint_every", "0", "a number of seconds above 0, or steps such as '500 steps'"),
    ("train.precision", "fp16", "'auto', 'fp32' or 'bf16'; got 'fp16'; did you mean bf16?"),
    ("data.source", "foldr", "'drawings', 'folder' or 'cifar'; got 'foldr'; did you mean folder?"),
    ("data.mean", "[0.5, 0.5]", "three numbers up to 1; got [0.5, 0.5]"),
    ("data.root", "2024", "a path such as ../photos, in quotes if it is a number; got 2024"),
    (
        "data.root",
        '"a\\0b"',
        "a path such as ../photos, in quotes if it is a number; got 'a\\x00b'",
    ),
    ("data.root", '"\\ud800"', "a path such as ../photos, in quotes if it is a number; got '\\ud8"),
    ("data.root", "''", "a path such as ../photos, in quotes if it is a number; got ''"),
    (
        "loss.class_weights",
        "balance",
        "'none', 'balanced' or a list with a number above 0 for each",
    ),
    ("loss.class_weights", "[1, 0]", "'none', 'balanced' or a list with a number above 0 for each"),
    ("loss.class_weights", "[1, true]", "'none', 'balanced' or a list with a number above 0 for "),
]


@pytest.mark.parametrize(("name", "value", "words"), VALUES, ids=[f"{v[0]}={v[1]}" for v in VALUES])
def test_wrong_value(mistakes, name, value, words):
    section, _, key = name.rpartition(".")
    (line,) = mistakes(f"{section}:\n  {key}: {value}" if section else f"\n{key}: {value}")
    assert line.startswith(f"fox.yaml:2: {name} must be {words}")
    (line,) = mistakes("", [f"{name}={value}"])
    assert line.startswith(f"argument {name}={value}: {name} must be {words}")


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
        ("optm", "optm is not a setting; did you mean optim?"),
        ("Seed", "Seed is not a setting; did you mean seed?"),
        ("zebra", "zebra is not a setting"),
        ("optim", "optim is a section, not a value; its settings stand below it, as optim.lr"),
        ("x" * 500, "x" * 57 + "... is not a setting"),
        ("a b", "'a b' is not a setting"),
        ("__class__", "__class__ is not a setting"),
    ],
)
def test_unknown_name(mistakes, name, words):
    section, _, key = name.rpartition(".")
    (line,) = mistakes(f"{section}:\n  {key}: 3" if section else f"\n{key}: 3")
    assert line == f"fox.yaml:2: {words}"
    (line,) = mistakes("", [f"{name}=3"])
    assert line.endswith(f": {words}")


def test_unknown_section_is_one_mistake_whatever_it_holds(mistakes):
    (line,) = mistakes("optm:\n  lr: 1\n  momentum: 1")
    assert line == "fox.yaml:1: optm is not a setting; did you mean optim?"


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("optim.lr", "expected section.key=value, such as optim.lr=0.1"),
        ("=3", "expected section.key=value, such as optim.lr=0.1"),
        ("", "expected section.key=value, such as optim.lr=0.1"),
        ("optim.lr=", "a value is missing after =; null is written null"),
        ("optim=null", "optim is a section, not a value"),
        ("base=fox.yaml", "base can only stand in a file; on the command line use -c"),
        ("seed=" + "9" * 5000, "a number of 5,000 characters is too long for a setting"),
        ("loss.class_weights=[1, 2", "is not YAML"),
        ("loss.class_weights=[!!int 1]", "the tag tag:yaml.org,2002:int is refused"),
        ("loss.class_weights=[\udcff]", "is not YAML: not UTF-8"),
    ],
)
def test_argument_that_cannot_be_read(mistakes, argument, words):
    (line,) = mistakes("", [argument])
    assert re.match(r"argument .{0,120}: ", line)
    assert words in line


def test_all_mistakes_come_at_once_in_all_layers(mistakes, write):
    write("train:\n  epochs: 0", "base.yaml")
    content = "base: base.yaml\noptim:\n  lr: -1\n  lr: 1\n  lrr: 1\ntrain:\n  epochs: 5\nsede: 1"
    lines = mistakes(content, ["model.width=0", "nonsense", "model.with=1"])
    places = sorted(line.partition(" ")[0] for line in lines)
    assert places == ["argument"] * 3 + ["base.yaml:2:", *(f"fox.yaml:{n}:" for n in (3, 4, 5, 8))]


def test_refused_line_has_one_mistake_only(mistakes):
    (line,) = mistakes("optim:\n  lr: " + "9" * 5000)
    assert line == "fox.yaml:2: a number of 5,000 characters is too long for a setting"


def test_very_many_mistakes_are_counted(mistakes):
    lines = mistakes("".join(f"k{i}: 1\n" for i in range(400)))
    assert lines[99].startswith("fox.yaml:100: k99 is not a setting")
    assert lines[100:] == ["and 300 more mistakes"]


@pytest.mark.parametrize("content", ["3", "[1, 2]", "seed", "- seed: 1"])
def test_document_that_is_no_mapping(mistakes, content):
    assert mistakes(content) == ["fox.yaml:1: expected settings such as seed: 1, one key per line"]


def test_folder_needs_a_root(mistakes):
    (line,) = mistakes("data:\n  source: folder")
    assert line.startswith("fox.yaml:2: data.source folder needs data.root")


def test_root_without_its_source_is_not_ignored(mistakes):
    (line,) = mistakes("", ["data.root=../photos"])
    words = "data.root is not read with data.source drawings; use folder"
    assert line == f"argument data.root=../photos: {words}"
    (line,) = mistakes("", ["data.root=../photos", "data.sorce=folder"])
    assert line.startswith("argument data.sorce=folder: ")


def test_model_name_that_is_no_text(mistakes):
    (line,) = mistakes("model:\n  name: 3", (), ["small_cnn"])
    assert line == "fox.yaml:2: model.name must be a valid string; got 3"


def test_model_name_is_checked_against_those_there_are(mistakes):
    (line,) = mistakes("model:\n  name: smal_cnn", (), ["small_cnn", "resnet18", "resnet50"])
    assert line == (
        "fox.yaml:2: model.name must be one of 'small_cnn', 'resnet18', 'resnet50'; "
        "got 'smal_cnn'; did you mean small_cnn?"
    )
