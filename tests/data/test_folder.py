"""Folders of pictures: what is taken, how it is split, what is left out and by which name."""

import os
import shutil
from collections import Counter

import numpy as np
import pytest

from data import DataError, folder
from data.cache import Decoding
from data.decode import decode
from data.load import load_folder_for_evaluation
from tests.data.pictures import SHARED, encoded, load, make_folder, same, scene

UNCACHED = Decoding(use_cache=False)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "16596a95a0e6c6b7d38a4d121d7338991200223518782ef2ce77e523af0275f7"),
        ({"seed": 1}, "e58191bac44ab2270edbc37b190bc70402509a3dbb62fa9b0323dd000f504ae9"),
        ({"fold": 2}, "faedea83d6a5b6b69c24898502c5d9ac275ae0b84b9fdb3bc30ffc303f7302b9"),
    ],
)
def test_fingerprints_are_those_of_earlier_versions(tmp_path, changes, expected):
    """Runs store them: `evaluate` finds its validation pictures again by them."""
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


def test_near_duplicates_stay_on_one_side(animals):
    for number in range(10):
        path = animals / "dog" / f"{number:03}.jpg"
        small = scene(number).resize((60, 40))
        path.with_stem(f"{path.stem}-small").write_bytes(encoded(small, quality=60))
        shutil.copy(path, path.with_stem(f"{path.stem}-copy"))
    for seed in range(4):
        data = load(animals, val_fraction=0.5, seed=seed)
        dogs = [Counter(n[:7] for n in s.names if n < "dog/010") for s in (data.train, data.val)]
        assert not dogs[0].keys() & dogs[1].keys()
        assert set((dogs[0] + dogs[1]).values()) == {3}


def test_rows_are_the_decoded_files(animals):
    data = load(animals, train_size=20)
    assert data.class_names == ["dog", "fox", "wolf"]
    assert np.bincount(data.train.labels).tolist() == [9, 6, 3]
    assert np.bincount(data.val.labels).tolist() == [3, 2, 1]
    for split, size in ((data.train, 20), (data.val, 16)):
        assert split.images.shape == (len(split), size, size, 3)
        for image, label, name in zip(split.images, split.labels, split.names, strict=True):
            np.testing.assert_array_equal(image, decode(animals / name, size))
            assert name.startswith(data.class_names[label] + os.sep)
    assert len({*data.train.names, *data.val.names}) == 24


def test_names_and_order_change_nothing(animals):
    before = load(animals)
    for number, path in enumerate(sorted(animals.rglob("*.jpg"), reverse=True)):
        path.rename(path.with_name(f"renamed {number}.jpeg"))
    after = load(animals)
    same(before, after)
    assert before.val.names != after.val.names


def test_the_split_depends_on_seed_and_content_only(animals):
    def val_names(**changes):
        return set(load(animals, **changes).val.names)

    before = val_names()
    assert before == val_names(train_size=300)
    assert before != val_names(seed=1)
    (animals / "dog" / "new.jpg").write_bytes(encoded(scene(999)))  # moves hardly any other
    assert len(before ^ val_names()) <= 2


def test_split_folders(tmp_path):
    root = tmp_path / "animals"
    make_folder(root / "train", {"dog": 4, "fox": 3, "wolf": 2})
    make_folder(root / "val", {"dog": 5, "fox": 1}, first_seed=50)
    data = load(root, train_size=20)
    assert data.class_names == ["dog", "fox", "wolf"]
    assert np.bincount(data.train.labels).tolist() == [4, 3, 2]
    assert np.bincount(data.val.labels).tolist() == [5, 1]
    assert data.train.images.shape[1:] == (20, 20, 3)
    assert data.warnings[-2:] == [
        "validation has 1 picture of fox: its recall says little",
        "validation has 0 pictures of wolf: its recall says little",
    ]
    assert data.summary == (
        "15 pictures in 3 classes (9 train, 6 val); 0 unusable, 0 pairs of duplicates"
    )


MISTAKES = {  # the files of a folder, and what is said about it
    "no such folder": None,
    "a file; data.root is the folder": "",
    "expected a folder for each class": [],
    "only one class, dog": ["dog/1.jpg"],
    "no picture is left for validation": ["dog/1.jpg", "fox/2.jpg"],
    "class fox has no picture .* remove its folder": ["dog/1.jpg", "fox/.hidden"],
    "no picture that can be used .*dog/bad.jpg: empty": ["dog/bad.jpg", "fox/bad.jpg"],
    "val/cat: train has no class of that name": ["train/dog/1.jpg", "val/cat/2.jpg"],
    "rename valid to val": ["train/dog/1.jpg", "valid/dog/2.jpg"],
    "found val but no train": ["val/dog/1.jpg", "val/fox/2.jpg"],
    "has folders train and val": ["train/dog/1.jpg", "train/fox/2.jpg", "val/dog/3.jpg"],
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_one_clear_line(message, tmp_path):
    root, files = tmp_path / "root", MISTAKES[message]
    if files == "":
        root.touch()
    elif files is not None:
        root.mkdir()
        for number, name in enumerate(files):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"" if "bad" in name else encoded(scene(number)))
    folds = 2 if "folders" in message else None
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
    refused.append("animals")
    with pytest.raises(DataError, match=r"animals: cannot be read \(Permission denied\)"):
        load(animals)


def test_debris_is_neither_picture_nor_class(animals):
    before = load(animals)
    for name in (".ipynb_checkpoints", "__MACOSX", ".hidden"):
        make_folder(animals / name, {"dog": 1}, first_seed=70)
        make_folder(animals / "dog" / name, {"x": 1}, first_seed=80)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._000.jpg"):
        (animals / "dog" / name).write_bytes(b"x")
        (animals / name).write_bytes(b"x")
    (animals / "dog" / "labels.csv").write_text("a,b")
    after = load(animals)
    same(before, after)
    assert after.unusable == []
    assert after.warnings[0] == "passed over by their names, no pictures (.csv): 1"


def test_links_loops_and_odd_names_are_survived_and_named(animals, tmp_path):
    shutil.move(animals / "wolf", tmp_path / "elsewhere")
    (animals / "wolf").symlink_to(tmp_path / "elsewhere")
    make_folder(animals / "dog" / "more" / "deep", {"er": 1}, first_seed=90)
    (animals / "dog" / "loop").symlink_to(animals / "dog")
    (animals / "dog" / "gone.jpg").symlink_to(animals / "nowhere")
    os.mkfifo(animals / "dog" / "pipe.jpg")
    picture = encoded(scene(500))
    with open(os.fsencode(animals / "dog") + b"/\xff\xfe.jpg", "wb") as file:
        file.write(picture)
    (animals / "dog" / "line\nbreak\x1b[31m.jpg").write_bytes(encoded(scene(501)))
    (animals / "dog" / "狼 🐺.jpg").write_bytes(encoded(scene(502)))
    data = load(animals)
    assert {unusable.path: unusable.reason for unusable in data.unusable} == {
        "dog/loop": "a link to a folder that was searched already",
        "dog/gone.jpg": "unreadable: No such file or directory",
        "dog/pipe.jpg": "unreadable: a pipe, socket or device, not a file",
    }
    names = {*data.train.names, *data.val.names}
    assert {"dog/more/deep/er/000.jpg", "wolf/003.jpg"} <= names
    assert {"dog/\\xff\\xfe.jpg", "dog/line\\nbreak\\x1b[31m.jpg", "dog/狼 🐺.jpg"} <= names


def test_unusable_files_are_left_out_by_name(animals, monkeypatch):
    (animals / "fox" / "page.jpg").write_bytes(b"<html>404")
    (animals / "fox" / "half.jpg").write_bytes(encoded(scene(1, 300, 200))[:-500])
    list_folder = folder.list_folder

    def list_then_vanish(root):
        table = list_folder(root)
        (animals / "dog" / "003.jpg").unlink(missing_ok=True)
        return table

    monkeypatch.setattr("data.load.list_folder", list_then_vanish)
    data = load(animals)
    names = [unusable.path for unusable in data.unusable]
    assert names == ["dog/003.jpg", "fox/half.jpg", "fox/page.jpg"]
    assert "truncated" in data.unusable[1].reason
    assert len(data.train) + len(data.val) == 23
    message = r"2 files cannot be used .*fox/half\.jpg: truncated.*on_bad"
    with pytest.raises(DataError, match=message):
        load(animals, on_bad="error")


def test_for_evaluation_classes_are_matched_by_name(animals):
    shutil.rmtree(animals / "dog")
    data = load_folder_for_evaluation(animals, ["cat", "dog", "fox", "wolf"], 16, UNCACHED)
    assert len(data.train) == 0
    assert np.bincount(data.val.labels, minlength=4).tolist() == [0, 0, 8, 4]
    assert data.class_names == ["cat", "dog", "fox", "wolf"]
    assert [w.split(": ")[1] for w in data.warnings] == ["no pictures of cat", "no pictures of dog"]
    with pytest.raises(DataError, match="found the class wolf; the model knows only dog, fox"):
        load_folder_for_evaluation(animals, ["dog", "fox"], 16, UNCACHED)


@pytest.mark.skipif(not (SHARED / "photos").exists(), reason="../shared/photos is not here")
def test_photographs(tmp_path):
    data = load(SHARED / "photos", tmp_path, val_fraction=0.2)
    assert (len(data.train), len(data.val)) == (321, 80)
    assert np.bincount(data.val.labels).tolist() == [40, 27, 13]
    assert data.unusable == []
