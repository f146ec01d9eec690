"""Folders and tables of pictures: which files are used, which are left out and why."""

import os
import shutil
import unicodedata

import numpy as np
import pytest

from data import DataError
from data.cache import Decoding
from data.images import printable
from data.load import load_folder_for_evaluation
from tests.data.pictures import assert_same, encoded, load, make_files, make_folder, scene

DECODING = Decoding(num_workers=1)
LINK = "a link to a folder above it, or to one of the same class"


def test_split_folders_and_one_warning_of_each_kind(tmp_path):
    make_folder(tmp_path / "train", {"cat": 1, "dog": 4, "fox": 3, "lynx": 1, "wolf": 2})
    make_folder(tmp_path / "val", {"dog": 5, "fox": 1}, first_seed=50)
    data = load(tmp_path)
    assert data.class_names == ["cat", "dog", "fox", "lynx", "wolf"]
    assert np.bincount(data.train.labels).tolist() == [1, 4, 3, 1, 2]
    assert np.bincount(data.val.labels).tolist() == [0, 5, 1]
    assert data.warnings == [
        "5 classes with fewer than 20 pictures for training: cat (1), dog (4), fox (3) and 2 more",
        "4 classes with fewer than 5 pictures for validation: cat (0), fox (1), lynx (0) and 1"
        " more",
    ]
    assert data.summary.startswith("17 pictures in 5 classes (11 train, 6 val); 0 unusable, 0 pair")


MISTAKES = {  # the message for a folder with these files
    "no folders; expected ROOT/CLASS": [],
    "only one class, dog": ["dog/1.jpg"],
    "no picture is left for validation: add more": ["dog/1.jpg", "fox/2.jpg"],
    "no picture is left for validation: add some of every class to val": [
        "train/dog/1.jpg", "train/fox/2.jpg", "val/dog/bad.jpg"
    ],
    "class fox has no usable picture .*no file": ["dog/1.jpg", "fox/.hidden"],
    "class fox has no usable picture .*fox/bad.jpg: empty": ["dog/1.jpg", "fox/bad.jpg"],
    "dog has no usable picture .*dog/bad.jpg: empty": ["dog/bad.jpg", "fox/bad.jpg"],
    "val/cat: train has no class of that name": ["train/dog/1.jpg", "val/cat/2.jpg"],
    "Valid and val both mean val": ["train/dog/1.jpg", "val/dog/2.jpg", "Valid/dog/3.jpg"],
    "found test and val but no train": ["val/dog/1.jpg", "val/fox/2.jpg", "test/fox/3.jpg"],
    "folds need pictures without": ["train/dog/1.jpg", "train/fox/2.jpg", "val/dog/3.jpg"],
    "2021 and 2022 all contain folders called dog and fox. Which are": [
        *(f"2021/{c}/{n}.jpg" for c in ("Dog", "fox", "wolf") for n in range(4)),
        *(f"2022/{c}/{n}.jpg" for c in ("dog", "Fox") for n in range(4)),
        "2022/sheet.jpg",
        "unsorted/0.jpg",
    ],
    "only one folder; set data.root=.*/pets/all, which has cat and dog": [
        "pets/all/dog/1.jpg", "pets/all/cat/2.jpg"
    ],
}  # fmt: skip


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_one_clear_line(message, tmp_path):
    make_files(tmp_path, MISTAKES[message])
    with pytest.raises(DataError, match=message) as error:
        load(tmp_path, num_folds=2 if "folds" in message else None)
    assert "\n" not in str(error.value)


def test_folders_that_cannot_be_read(animals, monkeypatch):
    with pytest.raises(DataError, match="no such folder"):
        load(animals / "none")
    with pytest.raises(DataError, match="is a file; data"):
        load(animals / "dog" / "000.jpg")
    scandir, refused = os.scandir, ["secret"]

    def refuse(path):
        if str(path).endswith(tuple(refused)):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    (animals / "dog" / "secret").mkdir()
    monkeypatch.setattr(os, "scandir", refuse)
    (bad,) = load(animals).unusable
    assert (bad.path, bad.reason) == ("dog/secret", "unreadable folder: Permission denied")
    refused.append("fox")
    with pytest.raises(DataError, match=r"class fox has no usable .*unreadable folder: Permission"):
        load(animals)
    refused.append("animals")
    with pytest.raises(DataError, match=r"animals: cannot be read \(Permission denied\)"):
        load(animals)


def test_system_files_are_neither_pictures_nor_classes(animals):
    before = load(animals)
    for name in (".ipynb_checkpoints", "__MACOSX"):
        make_files(animals, [f"{name}/dog/1.jpg", f"dog/{name}/x/1.jpg"])
    for name in ("Thumbs.db", ".DS_Store", "._000.jpg", "dog/desktop.ini", "dog/._000.jpg"):
        (animals / name).write_bytes(b"x")
    (animals / "dog" / "labels.csv").write_text("a,b")
    after = load(animals)
    assert_same(before, after)
    assert after.unusable == []
    assert after.warnings[0] == "1 file skipped by extension (.csv)"


def test_links_loops_and_odd_names_are_handled_and_unusable_files_listed(animals, tmp_path):
    shutil.move(animals / "wolf", tmp_path / "elsewhere")
    (animals / "wolf").symlink_to(tmp_path / "elsewhere")
    (animals / "fox").rename(animals / os.fsdecode("狐".encode("cp932")))
    make_folder(animals / "dog" / "more" / "deep", {"er": 1}, first_seed=90)
    (animals / "dog" / "loop").symlink_to(animals / "dog")
    (animals / "dog" / "twice").symlink_to(animals / "dog" / "more")
    (animals / "dog" / "up").symlink_to(animals)  # or all pictures would become dogs
    (animals / "dog" / "gone.jpg").symlink_to(animals / "nowhere")
    os.mkfifo(animals / "dog" / "pipe.jpg")
    (animals / "dog" / "page.jpg").write_bytes(b"<html>404")
    (animals / "dog" / "half.jpg").write_bytes(encoded(scene(1, 300, 200))[:-500])
    odd_names = (b"\xff\xfe.jpg", b"line\nbreak\x1b[31m.jpg", "狼 🐺.jpg".encode())
    for seed, name in enumerate(odd_names, 500):
        (animals / "dog" / os.fsdecode(name)).write_bytes(encoded(scene(seed)))
    data = load(animals)
    assert {unusable.path: unusable.reason for unusable in data.unusable} == {
        **dict.fromkeys(("dog/loop", "dog/twice", "dog/up"), LINK),
        "dog/gone.jpg": "unreadable: No such file or directory",
        "dog/pipe.jpg": "unreadable: a pipe, socket or device, not a file",
        "dog/page.jpg": "not a picture but HTML: the download got a web page",
        "dog/half.jpg": "truncated: the end of the file is missing",
    }
    names = {printable(name) for name in [*data.train.names, *data.val.names]}
    assert {"dog/more/deep/er/000.jpg", "wolf/003.jpg"} <= names
    assert {"dog/\\xff\\xfe.jpg", "dog/line\\nbreak\\x1b[31m.jpg", "dog/狼 🐺.jpg"} <= names
    assert len(names) == 24 + 4 and data.class_names == ["\\x8c\\xcf", "dog", "wolf"]


def test_folders_that_link_to_each_other_are_read_once_per_class(tmp_path):
    make_folder(tmp_path, {f"train/{c}/{c}{n}": 2 for c in ("dog", "fox") for n in range(12)})
    for folder in [*tmp_path.glob("train/dog/*"), *tmp_path.glob("train/fox/*")]:
        for other in folder.parent.iterdir():
            (folder / f"to_{other.name}").symlink_to(other)
        (folder / "up").symlink_to(tmp_path / "train")  # or all pictures would be of both classes
    data = load(tmp_path)
    assert len({*data.train.names, *data.val.names}) == 48
    assert len(data.train) + len(data.val) == 48
    assert {bad.reason for bad in data.unusable} == {LINK}


def test_for_evaluation_classes_are_matched_by_name(animals):
    shutil.rmtree(animals / "dog")
    data = load_folder_for_evaluation(animals, ["cat", "dog", "fox", "wolf"], 16, DECODING)
    assert len(data.train) == 0
    assert np.bincount(data.val.labels, minlength=4).tolist() == [0, 0, 8, 4]
    assert data.class_names == ["cat", "dog", "fox", "wolf"]
    assert data.warnings[0].endswith("no pictures of cat and dog")
    with pytest.raises(DataError, match="the model has classes dog and fox, not wolf"):
        load_folder_for_evaluation(animals, ["dog", "fox"], 16, DECODING)


GAZELLE = "ガゼル"
OTHER_FORM = unicodedata.normalize("NFD", GAZELLE)  # the same letters in other bytes
TWO_FORMS = f"folder names that differ only in Unicode form are one class: {GAZELLE}"
TWO_CASES = "names that differ only in case are different classes: Fox and fox"
LAYOUTS = {  # folders: class names, folders of train and of val, first warnings
    "Training/dog Training/fox Testing/dog": ("dog fox", "Training", "", ["Testing is not used"]),
    "train/dog train/fox valid/dog valid/fox test/dog": (
        "dog fox", "train", "valid", ["test is not used", "valid is used as val"]
    ),
    "TRAIN/dog TRAIN/fox Validation/dog": (
        "dog fox", "TRAIN", "Validation", ["Validation is used as val"]
    ),
    "train/dog train/fox dev/dog": ("dog fox", "train", "dev", ["dev is used as val"]),
    "bus car train": ("bus car train", "bus car train", "", []),
    "train/dog/images train/fox/images": ("dog fox", "train", "", []),  # as Tiny ImageNet
    f"train/{GAZELLE} train/{OTHER_FORM} train/fox train/Fox val/{OTHER_FORM}": (
        f"Fox fox {GAZELLE}", "train", "val", [TWO_FORMS, TWO_CASES]
    ),
}  # fmt: skip


@pytest.mark.parametrize("folders", LAYOUTS)
def test_layouts_of_classes_and_splits(tmp_path, folders):
    class_names, train, val, warnings = LAYOUTS[folders]
    data = load(make_files(tmp_path, [f"{f}/{n}.jpg" for f in folders.split() for n in range(8)]))
    assert data.class_names == class_names.split()
    assert {name.split("/")[0] for name in data.train.names} == set(train.split())
    assert {name.split("/")[0] for name in data.val.names} == set((val or train).split())
    assert data.warnings[: len(warnings)] == warnings


NAMES = [f"photos/{number}.jpg" for number in range(8)]


@pytest.fixture
def table(tmp_path):
    """Write a table beside eight pictures."""
    make_files(tmp_path, [*NAMES, "bad.jpg"])

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
    for separator in (";", "\t"):
        rows = [separator.join((name, "a, b" if n % 2 else "c")) for n, name in enumerate(NAMES)]
        assert load(table(f"path{separator}label", rows)).class_names == ["a, b", "c"]


def test_split_and_group(table):
    splits = ["train", "Training", "valid", "val", "train", "train", "val", "test"]
    rows = [f"{s},{'ab'[n % 2]},{NAMES[n]}" for n, s in enumerate(splits)]
    data = load(table("split,label,path", rows))
    assert sorted(data.train.names) == [NAMES[n] for n in (0, 1, 4, 5)]
    assert sorted(data.val.names) == [NAMES[n] for n in (2, 3, 6)]
    assert data.warnings[0] == "1 row of split test: not used"
    rows = [f"{name},{'aA'[n % 2]},train,{n // 4}" for n, name in enumerate(NAMES)]
    data = load(table("path,label,split,group", rows), val_fraction=0.5)
    assert "names that differ only in case are different classes: A and a" in data.warnings
    assert data.warnings[0].startswith("no row has split val: a share of each class is kept")
    assert len({int(name[-5]) // 4 for name in data.val.names}) == 1
    assert np.bincount(data.val.labels).tolist() == [2, 2]


MISTAKES_IN_TABLES = {
    "labels.csv:1: the columns are 'path', 'lable'; expected path, label": ("path,lable", []),
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
    "class a has no usable picture to train on (all of them are in val)": (
        "path,label,split", [f"{NAMES[n]},{('a,val', 'b,train')[n % 2]}" for n in range(4)]
    ),
    "class a has no usable picture to train on (bad.jpg: empty": (
        "path,label", ["bad.jpg,a", f"{NAMES[0]},b", f"{NAMES[1]},b"]
    ),
    "labels.csv: cannot be read as text in UTF-8": ("path,label", ["\udcff,a"]),
}  # fmt: skip


@pytest.mark.parametrize("message", MISTAKES_IN_TABLES)
def test_mistakes_name_their_line(table, message):
    header, rows = MISTAKES_IN_TABLES[message]
    path = table(header, [row.replace("\udcff", "é") for row in rows], "latin-1")
    with pytest.raises(DataError) as error:
        load(path)
    assert message in str(error.value) and "\n" not in str(error.value)
