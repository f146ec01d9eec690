"""Folders of pictures: which files are used, how they are split, which are left out and why."""

import os
import shutil
import unicodedata
from collections import Counter

import numpy as np
import pytest

from data import DataError, folder
from data.advice import about_classes
from data.cache import Decoding
from data.decode import decode
from data.images import printable
from data.load import load_folder_for_evaluation
from tests.data.pictures import assert_same, encoded, load, make_files, make_folder, scene

DECODING = Decoding(num_workers=1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "16596a95a0e6c6b7d38a4d121d7338991200223518782ef2ce77e523af0275f7"),
        ({"seed": 1}, "e58191bac44ab2270edbc37b190bc70402509a3dbb62fa9b0323dd000f504ae9"),
        ({"fold": 2}, "faedea83d6a5b6b69c24898502c5d9ac275ae0b84b9fdb3bc30ffc303f7302b9"),
    ],
)
def test_fingerprints_are_those_of_earlier_versions(tmp_path, changes, expected):
    """`evaluate` recognises the pictures of a run by its fingerprint."""
    names = [f"dog/{n}" for n in range(6)] + [f"fox/{n}" for n in range(5)]
    for name in [*names, *(f"wolf/{n}" for n in range(4)), "dog/again"]:
        label, number = name.split("/")
        seed = 0 if number == "again" else 100 * ["dog", "fox", "wolf"].index(label) + int(number)
        pixels = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / f"{name}.ppm").write_bytes(b"P6 9 7 255 " + pixels.tobytes())
    (tmp_path / "dog" / "bad.jpg").write_bytes(b"<html>")
    num_folds = 3 if "fold" in changes else None
    assert load(tmp_path, num_folds=num_folds, **changes).fingerprint == expected


def test_near_duplicates_stay_in_one_split(animals):
    for number in range(10):
        path = animals / "dog" / f"{number:03}.jpg"
        small = scene(number).resize((60, 40))
        path.with_stem(f"{path.stem}-small").write_bytes(encoded(small, quality=60))
        shutil.copy(path, path.with_stem(f"{path.stem}-copy"))
    data = load(animals, val_fraction=0.5)
    dogs = [Counter(n[:7] for n in s.names if n < "dog/010") for s in (data.train, data.val)]
    assert dogs[0] and dogs[1] and not dogs[0].keys() & dogs[1].keys()
    assert set((dogs[0] + dogs[1]).values()) == {3}


def test_rows_are_the_decoded_files(animals):
    data = load(animals)
    assert data.class_names == ["dog", "fox", "wolf"]
    assert np.bincount(data.train.labels).tolist() == [9, 6, 3]
    assert np.bincount(data.val.labels).tolist() == [3, 2, 1]
    for split, size in ((data.train, 20), (data.val, 16)):
        assert split.images.shape == (len(split), size, size, 3)
        for image, label, name in zip(split.images, split.labels, split.names, strict=True):
            np.testing.assert_array_equal(image, decode(animals / name, size))
            assert name.startswith(data.class_names[label] + os.sep)
    assert len({*data.train.names, *data.val.names}) == 24


def test_the_split_depends_on_seed_and_content_only(animals):
    before = load(animals)
    assert set(before.val.names) != set(load(animals, seed=1).val.names)
    for number, path in enumerate(sorted(animals.rglob("*.jpg"), reverse=True)):
        path.rename(path.with_name(f"renamed {number}.jpeg"))
    after = load(animals)
    assert_same(before, after)
    assert before.val.names != after.val.names
    (animals / "dog" / "new.jpg").write_bytes(encoded(scene(999)))  # the others hardly move
    assert len(set(after.val.names) ^ set(load(animals).val.names)) <= 2


def test_split_folders(tmp_path):
    root = tmp_path / "animals"
    make_folder(root / "train", {"dog": 4, "fox": 3, "wolf": 2})
    make_folder(root / "val", {"dog": 5, "fox": 1}, first_seed=50)
    data = load(root)
    assert data.class_names == ["dog", "fox", "wolf"]
    assert np.bincount(data.train.labels).tolist() == [4, 3, 2]
    assert np.bincount(data.val.labels).tolist() == [5, 1]
    assert data.train.images.shape[1:] == (20, 20, 3)
    assert data.warnings == [
        "3 classes with fewer than 20 pictures to train on: dog (4), fox (3) and wolf (2)",
        "2 classes with fewer than 5 pictures to measure recall: fox (1) and wolf (0)",
    ]
    assert data.summary == (
        "15 pictures in 3 classes (9 train, 6 val); 0 unusable, 0 pairs of duplicates"
    )


MISTAKES = {  # the message for a folder with these files
    "no such folder": None,
    "is a file; data.root is the folder": "",
    "expected a folder for each class": [],
    "only one class, dog": ["dog/1.jpg"],
    "no picture is left for validation: add more": ["dog/1.jpg", "fox/2.jpg"],
    "no picture is left for validation: add more of every class": [
        "train/dog/1.jpg", "train/fox/2.jpg", "val/dog/bad.jpg"
    ],
    "class fox has no usable picture .*there is no file": ["dog/1.jpg", "fox/.hidden"],
    "class fox has no usable picture .*fox/bad.jpg: empty": ["dog/1.jpg", "fox/bad.jpg"],
    "dog has no usable picture .*dog/bad.jpg: empty": ["dog/bad.jpg", "fox/bad.jpg"],
    "val/cat: train has no class of that name": ["train/dog/1.jpg", "val/cat/2.jpg"],
    "Valid and val both mean val": ["train/dog/1.jpg", "val/dog/2.jpg", "Valid/dog/3.jpg"],
    "found test and val but no train": ["val/dog/1.jpg", "val/fox/2.jpg", "test/fox/3.jpg"],
    "folds need pictures without": ["train/dog/1.jpg", "train/fox/2.jpg", "val/dog/3.jpg"],
    "fold_1, fold_2 and fold_3 all contain folders called dog and fox. Which": [
        f"fold_{n}/{name}/{n}.jpg" for n in (1, 2, 3) for name in ("dog", "fox")
    ],
    "2021 and 2022 all contain folders called dog and fox": [
        *(f"2021/{c}/{n}.jpg" for c in ("Dog", "fox", "wolf") for n in range(4)),
        *(f"2022/{c}/{n}.jpg" for c in ("dog", "Fox") for n in range(4)),
        "2022/sheet.jpg",
        "unsorted/0.jpg",
    ],
    "2023 and 2024 all contain folders called dog and fox": [
        f"train/{year}/{name}/{year}.jpg" for year in (2023, 2024) for name in ("dog", "fox", year)
    ],
    "only one folder; set data.root=.*/pets/all, which has cat and dog": [
        "pets/all/dog/1.jpg", "pets/all/cat/2.jpg"
    ],
}  # fmt: skip


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_one_clear_line(message, tmp_path):
    root, files = tmp_path / "root", MISTAKES[message]
    if files == "":
        root.touch()
    elif files is not None:
        root.mkdir()
        make_files(root, files)
    folds = 2 if "folds" in message else None
    with pytest.raises(DataError, match=message) as error:
        load(root, num_folds=folds)
    assert "\n" not in str(error.value)


def test_folders_that_may_not_be_read(animals, monkeypatch):
    scandir, refused = os.scandir, ["secret"]

    def refuse(path):
        if str(path).endswith(tuple(refused)):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    (animals / "dog" / "secret").mkdir()
    monkeypatch.setattr(os, "scandir", refuse)
    (bad,) = load(animals).unusable
    assert (bad.path, bad.reason) == ("dog/secret", "unreadable folder: Permission denied")
    for name, message in {
        "fox": "class fox has no usable picture .*fox: unreadable folder: Permission denied",
        "animals": r"animals: cannot be read \(Permission denied\)",
    }.items():
        refused.append(name)
        with pytest.raises(DataError, match=message):
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


def test_links_loops_and_odd_names_are_handled_and_listed(animals, tmp_path):
    shutil.move(animals / "wolf", tmp_path / "elsewhere")
    (animals / "wolf").symlink_to(tmp_path / "elsewhere")
    make_folder(animals / "dog" / "more" / "deep", {"er": 1}, first_seed=90)
    (animals / "dog" / "loop").symlink_to(animals / "dog")
    (animals / "dog" / "up").symlink_to(animals)  # or all pictures would become dogs
    (animals / "dog" / "twice").symlink_to(animals / "dog" / "more")
    (animals / "dog" / "gone.jpg").symlink_to(animals / "nowhere")
    os.mkfifo(animals / "dog" / "pipe.jpg")
    odd_names = (b"\xff\xfe.jpg", b"line\nbreak\x1b[31m.jpg", "狼 🐺.jpg".encode())
    for number, name in enumerate(odd_names):
        with open(os.path.join(os.fsencode(animals / "dog"), name), "wb") as file:
            file.write(encoded(scene(500 + number)))
    data = load(animals)
    assert {unusable.path: unusable.reason for unusable in data.unusable} == {
        "dog/loop": "a link to a folder above it",
        "dog/up": "a link to a folder above it",
        "dog/twice/deep/er": "a link to a folder of the same class",
        "dog/gone.jpg": "unreadable: No such file or directory",
        "dog/pipe.jpg": "unreadable: a pipe, socket or device, not a file",
    }
    names = {printable(name) for name in [*data.train.names, *data.val.names]}
    assert {"dog/more/deep/er/000.jpg", "wolf/003.jpg"} <= names
    assert {"dog/\\xff\\xfe.jpg", "dog/line\\nbreak\\x1b[31m.jpg", "dog/狼 🐺.jpg"} <= names


def test_unusable_files_are_left_out_and_listed(animals, monkeypatch):
    (animals / "fox" / "page.jpg").write_bytes(b"<html>404")
    (animals / "fox" / "half.jpg").write_bytes(encoded(scene(1, 300, 200))[:-500])
    list_folder = folder.list_folder

    def list_then_vanish(root, *args):
        table = list_folder(root, *args)
        (animals / "dog" / "003.jpg").unlink(missing_ok=True)
        return table

    monkeypatch.setattr("data.labels.list_folder", list_then_vanish)
    data = load(animals)
    names = [unusable.path for unusable in data.unusable]
    assert names == ["dog/003.jpg", "fox/half.jpg", "fox/page.jpg"]
    assert "truncated" in data.unusable[1].reason
    assert len(data.train) + len(data.val) == 23


def test_for_evaluation_classes_are_matched_by_name(animals):
    shutil.rmtree(animals / "dog")
    data = load_folder_for_evaluation(animals, ["cat", "dog", "fox", "wolf"], 16, DECODING)
    assert len(data.train) == 0
    assert np.bincount(data.val.labels, minlength=4).tolist() == [0, 0, 8, 4]
    assert data.class_names == ["cat", "dog", "fox", "wolf"]
    assert data.warnings[0].endswith("no pictures of cat and dog")
    with pytest.raises(DataError, match="the model has classes dog and fox, not wolf"):
        load_folder_for_evaluation(animals, ["dog", "fox"], 16, DECODING)


CLASSES = ("dog", "fox")


@pytest.mark.parametrize(
    ("train", "val", "test", "notes"),
    [
        ("Training", None, "Testing", ["Testing is not used"]),
        ("train", "valid", "test", ["test is not used", "valid is used as val"]),
        ("TRAIN", "Validation", None, ["Validation is used as val"]),
        ("train", "dev", None, ["dev is used as val"]),
    ],
)
def test_folders_of_splits_under_other_names(tmp_path, train, val, test, notes):
    names = [f"{s}/{c}/{n}.jpg" for s in (train, val, test) if s for c in CLASSES for n in range(8)]
    data = load(make_files(tmp_path / "root", names))
    assert data.class_names == ["dog", "fox"]
    assert data.warnings[: len(notes)] == notes
    assert {name.split("/")[0] for name in data.train.names} == {train}
    assert {name.split("/")[0] for name in data.val.names} == {val or train}


def test_a_class_called_train_and_classes_that_share_subfolders(tmp_path):
    names = [f"{c}/{n}.jpg" for c in ("train", "car", "bus") for n in range(4)]
    assert load(make_files(tmp_path / "a", names)).class_names == ["bus", "car", "train"]
    names = [f"train/{c}/images/{n}.jpg" for c in CLASSES for n in range(4)]  # as Tiny ImageNet
    assert load(make_files(tmp_path / "b", names)).class_names == ["dog", "fox"]
    names = [f"{c}/{n}/{m}.jpg" for c in CLASSES for n in "123" for m in range(4)]
    data = load(make_files(tmp_path / "c", names), group="folder", val_fraction=0.4)
    assert data.class_names == ["dog", "fox"]


def test_one_name_written_in_two_ways_is_one_class(tmp_path):
    composed = "ガゼル"
    decomposed = unicodedata.normalize("NFD", composed)
    names = [f"train/{composed}/1.jpg", f"train/{decomposed}/2.jpg", "train/fox/3.jpg"]
    names += ["train/Fox/4.jpg", "train/fox/5.jpg", f"val/{decomposed}/6.jpg", "val/fox/7.jpg"]
    data = load(make_files(tmp_path / "root", names))
    assert data.class_names == ["Fox", "fox", composed]
    assert np.bincount(data.train.labels).tolist() == [1, 2, 2]
    assert data.warnings[:2] == [
        f"folder names that differ only in Unicode form are one class: {composed}",
        "names that differ only in case are different classes: Fox and fox",
    ]


def test_names_of_classes_that_are_not_utf_8_become_text(tmp_path):
    for number, name in enumerate(("犬", "狐")):
        make_folder(tmp_path, {str(number): 4}, first_seed=4 * number)
        folder = os.path.join(os.fsencode(tmp_path), name.encode("cp932"))
        os.rename(tmp_path / str(number), folder)
    assert load(tmp_path).class_names == ["\\x8c\\xa2", "\\x8c\\xcf"]


@pytest.mark.parametrize(("group", "part"), [("folder", 1), (r"clip\d+", 2), (r"/(clip\d+)_", 2)])
@pytest.mark.parametrize("num_folds", [None, 3])
def test_groups_stay_in_one_split(tmp_path, group, part, num_folds):
    names = [
        f"{name}/animal{n}/clip{n}_{frame}.jpg"
        for name in CLASSES for n in range(6) for frame in range(3)
    ]  # fmt: skip
    data = load(make_files(tmp_path, names), group=group, num_folds=num_folds)
    train, val = (
        {name.split("/")[part].split("_")[0] for name in split.names}
        for split in (data.train, data.val)
    )
    assert train and val and not train & val


def test_groups_that_match_nothing_or_leak_are_reported(animals, tmp_path):
    for group in ("clip", "folder"):
        with pytest.raises(DataError, match=f"{group} gives no file a group, for example dog/000"):
            load(animals, group=group)
    (note, *_) = load(animals, group="dog").warnings
    assert note.startswith("data.group=dog: 12 files in no group: fox/000.jpg, fox/001.jpg")
    names = [f"{s}/{c}/clip{n}.jpg" for n, s in enumerate(("train", "val")) for c in CLASSES]
    root = make_files(tmp_path / "split", [*names, "val/dog/clip0_2.jpg"])
    assert "1 group in both train and val: clip0" in load(root, group=r"clip\d").warnings


def test_many_small_classes_are_one_warning_of_each_kind():
    counts = {f"class {k}": 1 for k in range(200)}
    examples = "class 0 (1), class 1 (1), class 2 (1) and 197 more"
    assert about_classes(counts, counts) == [
        f"200 classes with fewer than 20 pictures to train on: {examples}",
        f"200 classes with fewer than 5 pictures to measure recall: {examples}",
    ]


def test_a_group_is_the_text_that_all_parentheses_match():
    groups = r"(left)|(clip[0-9]+)", r"(cam[0-9])_(clip[0-9]+)", r"clip[0-9]+"
    found = [folder.group_of("dog/cam1_clip2_003.png", "", group) for group in groups]
    assert found == ["clip2", "cam1 clip2", "clip2"]
