"""Pictures listed in a table."""

import os

import numpy as np
import pytest

from data import DataError
from tests.data.pictures import load, make_files

NAMES = [f"photos/{number}.jpg" for number in range(8)]


@pytest.fixture
def table(tmp_path):
    """Write a table beside eight pictures."""
    make_files(tmp_path, NAMES)

    def write(header, rows, encoding="utf-8"):
        path = tmp_path / "labels.csv"
        path.write_text("\n".join([header, *rows]), encoding=encoding)
        return path

    return write


def test_paths_are_relative_to_the_table(table, tmp_path, monkeypatch):
    rows = [f'"{name}",{"狐" if number % 2 else "dog"}' for number, name in enumerate(NAMES)]
    rows[0] = f"{tmp_path / NAMES[0]},dog"  # or absolute
    path = table("path,label", [*rows, rows[1]], "utf-8-sig")  # a row may come twice
    monkeypatch.chdir("/")
    data = load(os.path.relpath(path))
    assert data.class_names == ["dog", "狐"]
    assert (len(data.train), len(data.val)) == (6, 2)
    for name, label in zip(data.train.names, data.train.labels, strict=True):
        assert label == int(name[-5]) % 2


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs_separate_too(table, separator):
    rows = [separator.join((name, "a, b" if n % 2 else "c")) for n, name in enumerate(NAMES)]
    assert load(table(f"path{separator}label", rows)).class_names == ["a, b", "c"]


def test_split_and_group(table):
    splits = ["train", "Training", "valid", "val", "train", "train", "val", "test"]
    rows = [f"{s},{'ab'[n % 2]},{NAMES[n]}" for n, s in enumerate(splits)]
    data = load(table("split,label,path", rows))
    assert sorted(data.train.names) == [NAMES[n] for n in (0, 1, 4, 5)]
    assert sorted(data.val.names) == [NAMES[n] for n in (2, 3, 6)]
    assert data.warnings[0] == "1 row of split test: not used"
    data = load(
        table("path,label,split", [f"{name},{'aA'[n % 2]},train" for n, name in enumerate(NAMES)])
    )
    assert "names that differ only in case are different classes: A and a" in data.warnings
    assert data.warnings[0].startswith("no row has split val: a share of each class is kept")
    rows = [f"{name},{'ab'[n % 2]},{n // 4}" for n, name in enumerate(NAMES)]
    data = load(table("path,label,group", rows), val_fraction=0.5)
    assert len({int(name[-5]) // 4 for name in data.val.names}) == 1
    assert np.bincount(data.val.labels).tolist() == [2, 2]


MISTAKES = {
    "labels.csv:1: the columns are 'path', 'lable'; expected path, label": ("path,lable", []),
    "labels.csv:1: the columns are 'path'; expected": ("path", []),
    "labels.csv: expected one row per picture": ("path,label", []),
    "labels.csv:3: gone.jpg: no such file": ("path,label", [f"{NAMES[0]},a", "gone.jpg,b"]),
    "labels.csv:3: photos/0.jpg: line 2 has another label, split or group": (
        "path,label", [f"{NAMES[0]},a", "./photos/0.jpg,b"]
    ),
    "labels.csv:2: expected a path and a label": ("path,label", [f"{NAMES[0]},"]),
    "labels.csv:3: more cells than columns": ("path,label", [f"{NAMES[0]},a", f"{NAMES[1]},b,c"]),
    "labels.csv:2: split tset; expected train, val or test": (
        "path,label,split", [f"{NAMES[0]},a,tset"]
    ),
    "labels.csv: some rows have a split": (
        "path,label,split", [f"{NAMES[0]},a,train", f"{NAMES[1]},b,"]
    ),
    "labels.csv: expected one row per picture to train on": (
        "path,label,split", [f"{NAMES[0]},a,test"]
    ),
    "labels.csv:3: unexpected end of data; a closing": ("path,label", [f"{NAMES[0]},a", '"b,c']),
    "class a has no usable picture to train on (there is no file)": (
        "path,label,split", [f"{NAMES[n]},{('a,val', 'b,train')[n % 2]}" for n in range(4)]
    ),
    "labels.csv: only one class, a": ("path,label", [f"{name},a" for name in NAMES]),
    "labels.csv: cannot be read as text in UTF-8": ("path,label", ["\udcff,a"]),
}  # fmt: skip


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_name_their_line(table, message):
    header, rows = MISTAKES[message]
    path = table(header, [row.replace("\udcff", "é") for row in rows], "latin-1")
    with pytest.raises(DataError) as error:
        load(path)
    assert message in str(error.value) and "\n" not in str(error.value)
