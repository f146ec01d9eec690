"""Folders of pictures: what is taken, how it is split, what is left out and by which name."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from data import cache, decode_pool, load
from data.decode import decode
from data.errors import DataError
from data.folder import list_folder, load_folder, load_folder_for_evaluation
from tests.data.pictures import SHARED, encoded, make_folder, same, scene


def load_uncached(root, **changes):
    arguments = {"image_size": 16, "val_fraction": 0.25, "seed": 0, "use_cache": False}
    return load_folder(root, **{**arguments, **changes})


@pytest.fixture
def animals(tmp_path):
    return make_folder(tmp_path / "animals", {"dog": 12, "fox": 8, "wolf": 4})


@pytest.fixture(autouse=True)
def _decoded_here(monkeypatch):
    """Not in processes, which test_decode_pool tests."""
    monkeypatch.setattr(cache, "decode_in_order", lambda jobs: map(decode_pool._inspect, jobs))


PPMS = {"dog": 6, "fox": 5, "wolf": 4}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "16596a95a0e6c6b7d38a4d121d7338991200223518782ef2ce77e523af0275f7"),
        ({"seed": 1}, "e58191bac44ab2270edbc37b190bc70402509a3dbb62fa9b0323dd000f504ae9"),
        (
            {"num_folds": 3, "fold": 2},
            "faedea83d6a5b6b69c24898502c5d9ac275ae0b84b9fdb3bc30ffc303f7302b9",
        ),
    ],
)
def test_fingerprints_are_those_of_earlier_versions(tmp_path, changes, expected):
    """Runs store them: `evaluate` finds its validation pictures again by them."""
    for label, (name, count) in enumerate(PPMS.items()):
        (tmp_path / name).mkdir()
        for number in range(count):
            path = tmp_path / name / f"{number}.ppm"
            path.write_bytes(ppm(100 * label + number))
    (tmp_path / "dog" / "again.ppm").write_bytes(ppm(0))
    (tmp_path / "dog" / "bad.jpg").write_bytes(b"<html>")
    assert load_uncached(tmp_path, **changes).fingerprint == expected


def ppm(seed):
    """A file whose bytes no version of a library changes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return b"P6 9 7 255 " + pixels.tobytes()


def test_rows_are_the_decoded_files(animals):
    data = load_uncached(animals, train_size=20)
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
    before = load_uncached(animals)
    for number, path in enumerate(sorted(animals.rglob("*.jpg"), reverse=True)):
        path.rename(path.with_name(f"renamed {number}.jpeg"))
    after = load_uncached(animals)
    same(before, after)
    assert before.val.names != after.val.names


def test_the_split_depends_on_the_seed_and_not_on_the_size(animals):
    assert set(load_uncached(animals).val.names) == set(
        load_uncached(animals, image_size=300).val.names
    )
    assert set(load_uncached(animals).val.names) != set(load_uncached(animals, seed=1).val.names)


def test_a_new_picture_moves_hardly_any_other(animals):
    before = set(load_uncached(animals).val.names)
    (animals / "dog" / "new.jpg").write_bytes(encoded(scene(999)))
    after = set(load_uncached(animals).val.names)
    assert len(before ^ after) <= 2


def test_near_duplicates_stay_on_one_side(tmp_path):
    root = make_folder(tmp_path / "animals", {"dog": 10, "fox": 10})
    for number in range(10):
        image = scene(number)
        copy = image.resize((60, 40))
        (root / "dog" / f"{number:03}-small.jpg").write_bytes(encoded(copy, quality=60))
        shutil.copy(root / "dog" / f"{number:03}.jpg", root / "dog" / f"{number:03}-copy.jpg")
    for seed in range(4):
        data = load_uncached(root, seed=seed)
        sides: dict[str, set[str]] = {}
        for side in ("train", "val"):
            for name in getattr(data, side).names:
                if name.startswith("dog"):
                    sides.setdefault(name[:7], set()).add(side)
        assert len(sides) == 10
        assert all(len(side) == 1 for side in sides.values())
        assert len([n for n in data.val.names if n.startswith("dog")]) in (6, 7)


def test_the_same_file_twice_gives_two_rows(animals):
    shutil.copy(animals / "dog" / "000.jpg", animals / "dog" / "again.jpg")
    data = load_uncached(animals)
    assert len(data.train) + len(data.val) == 25
    assert {"dog/000.jpg", "dog/again.jpg"} <= {*data.train.names, *data.val.names}


def test_split_folders(tmp_path):
    root = tmp_path / "animals"
    make_folder(root / "train", {"dog": 4, "fox": 3, "wolf": 2})
    make_folder(root / "val", {"dog": 5, "fox": 1}, first_seed=50)
    data = load_uncached(root, train_size=20)
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


def test_train_alone_is_split(tmp_path):
    make_folder(tmp_path / "train", {"dog": 8, "fox": 8})
    data = load_uncached(tmp_path)
    assert (len(data.train), len(data.val), data.class_names) == (12, 4, ["dog", "fox"])


def no_such_folder(root):
    return root / "none", "no such folder"


def a_file(root):
    (root / "file").write_text("x")
    return root / "file", "a file; expected the folder"


def no_classes(root):
    return root, "expected a folder for each class"


def one_class(root):
    return make_folder(root, {"dog": 3}), "only one class, dog"


def an_empty_class(root):
    return make_folder(root, {"dog": 3, "fox": 0}), "class fox has no picture .* remove its folder"


def only_rubbish(root):
    for name in ("dog", "fox"):
        (root / name).mkdir()
        (root / name / "a.jpg").write_bytes(b"")
    return root, "no picture that can be used .*dog/a.jpg: empty"


def a_class_that_train_lacks(root):
    make_folder(root / "train", {"dog": 3, "fox": 3})
    return make_folder(root / "val", {"cat": 1}).parent, "val/cat: train has no class of that name"


def another_word_for_val(root):
    make_folder(root / "train", {"dog": 3, "fox": 3})
    return make_folder(root / "valid", {"dog": 1}).parent, "rename valid to val"


def val_without_train(root):
    return make_folder(root / "val", {"dog": 3, "fox": 3}).parent, "found val but no train"


@pytest.mark.parametrize(
    "make",
    [
        no_such_folder,
        a_file,
        no_classes,
        one_class,
        an_empty_class,
        only_rubbish,
        a_class_that_train_lacks,
        another_word_for_val,
        val_without_train,
    ],
)
def test_mistakes_are_one_clear_line(make, tmp_path):
    root, message = make(tmp_path)
    with pytest.raises(DataError, match=message) as error:
        load_uncached(root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_fraction": 1.0}, "val_fraction is 1.0"),
        ({"on_bad": "ignore"}, "on_bad is 'ignore'"),
        ({"num_folds": 3, "fold": 4}, "fold is 4; expected 1 to 3"),
    ],
)
def test_bad_arguments(animals, changes, message):
    with pytest.raises(DataError, match=message):
        load_uncached(animals, **changes)


def test_a_root_that_may_not_be_read(animals, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"animals: cannot be read \(Permission denied\)"):
        load_uncached(animals)


def test_a_class_folder_that_may_not_be_read(animals, monkeypatch):
    scandir = os.scandir

    def refuse_some(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    (animals / "dog" / "secret").mkdir()
    monkeypatch.setattr(os, "scandir", refuse_some)
    (unusable,) = load_uncached(animals).unusable
    assert (unusable.path, unusable.reason) == (
        "dog/secret",
        "unreadable folder: Permission denied",
    )


def test_debris_is_neither_picture_nor_class(animals):
    before = load_uncached(animals)
    for name in (".ipynb_checkpoints", "__MACOSX", ".hidden"):
        make_folder(animals / name, {"dog": 1}, first_seed=70)
        make_folder(animals / "dog" / name, {"x": 1}, first_seed=80)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._000.jpg"):
        (animals / "dog" / name).write_bytes(b"x")
        (animals / name).write_bytes(b"x")
    (animals / "dog" / "labels.csv").write_text("a,b")
    after = load_uncached(animals)
    same(before, after)
    assert after.unusable == []
    assert after.warnings[0] == "passed over by their names, no pictures (.csv): 1"


def test_nested_folders_are_searched(animals):
    make_folder(animals / "dog" / "more" / "deep", {"er": 2}, first_seed=90)
    names = {*load_uncached(animals).train.names, *load_uncached(animals).val.names}
    assert {"dog/more/deep/er/000.jpg", "dog/more/deep/er/001.jpg"} <= names


def test_links_loops_and_odd_names_are_survived_and_named(animals):
    (animals / "dog" / "loop").symlink_to(animals / "dog")
    (animals / "dog" / "gone.jpg").symlink_to(animals / "nowhere")
    os.mkfifo(animals / "dog" / "pipe.jpg")
    picture = encoded(scene(500))
    with open(os.fsencode(animals / "dog") + b"/\xff\xfe.jpg", "wb") as file:
        file.write(picture)
    (animals / "dog" / "line\nbreak\x1b[31m.jpg").write_bytes(encoded(scene(501)))
    (animals / "dog" / "狼 🐺.jpg").write_bytes(encoded(scene(502)))
    data = load_uncached(animals)
    assert {unusable.path: unusable.reason for unusable in data.unusable} == {
        "dog/loop": "a link to a folder that was searched already",
        "dog/gone.jpg": "unreadable: No such file or directory",
        "dog/pipe.jpg": "unreadable: a pipe, socket or device, not a file",
    }
    names = {*data.train.names, *data.val.names}
    assert {"dog/\\xff\\xfe.jpg", "dog/line\\nbreak\\x1b[31m.jpg", "dog/狼 🐺.jpg"} <= names


def test_a_class_may_be_a_link(animals, tmp_path):
    shutil.move(animals / "wolf", tmp_path / "elsewhere")
    (animals / "wolf").symlink_to(tmp_path / "elsewhere")
    assert np.bincount(load_uncached(animals).train.labels).tolist() == [9, 6, 3]


def test_unusable_files_are_left_out_by_name(animals):
    (animals / "fox" / "page.jpg").write_bytes(b"<html>404")
    (animals / "fox" / "half.jpg").write_bytes(encoded(scene(1, 300, 200))[:-500])
    data = load_uncached(animals)
    assert [unusable.path for unusable in data.unusable] == ["fox/half.jpg", "fox/page.jpg"]
    assert "truncated" in data.unusable[0].reason
    assert len(data.train) + len(data.val) == 24
    message = r"2 files cannot be used .*fox/half\.jpg: truncated.*on_bad"
    with pytest.raises(DataError, match=message):
        load_uncached(animals, on_bad="error")


def test_a_file_that_vanishes_after_it_was_listed(animals, monkeypatch):
    decode_table = cache.decode_table

    def vanish_then_decode(*args):
        (animals / "dog" / "003.jpg").unlink()
        return decode_table(*args)

    monkeypatch.setattr(load, "decode_table", vanish_then_decode)
    data = load_uncached(animals)
    assert [unusable.path for unusable in data.unusable] == ["dog/003.jpg"]
    assert len(data.train) + len(data.val) == 23


def test_a_group_stays_on_one_side(animals):
    """No folder has groups; a table made from something else may."""
    table = list_folder(animals)
    files = [replace(f, group="one dog" if f.path < "dog/006" else "") for f in table.files]
    grouped = replace(table, files=files)
    for seed in range(5):
        data = load.load_table(grouped, 16, 16, load.Split(0.5, seed), use_cache=False)
        sides = {f"dog/{n:03}.jpg" in data.val.names for n in range(6)}
        assert len(sides) == 1


def test_for_evaluation_classes_are_matched_by_name(animals):
    shutil.rmtree(animals / "dog")
    data = load_folder_for_evaluation(animals, ["cat", "dog", "fox", "wolf"], 16, use_cache=False)
    assert len(data.train) == 0
    assert np.bincount(data.val.labels, minlength=4).tolist() == [0, 0, 8, 4]
    assert data.class_names == ["cat", "dog", "fox", "wolf"]
    assert [w.split(": ")[1] for w in data.warnings] == ["no pictures of cat", "no pictures of dog"]
    with pytest.raises(DataError, match="found the class wolf; the model knows only dog, fox"):
        load_folder_for_evaluation(animals, ["dog", "fox"], 16, use_cache=False)


def test_for_evaluation_val_is_taken(tmp_path):
    make_folder(tmp_path / "train", {"dog": 4, "fox": 3})
    make_folder(tmp_path / "val", {"dog": 2, "fox": 1}, first_seed=50)
    data = load_folder_for_evaluation(tmp_path, ["dog", "fox"], 16, use_cache=False)
    assert np.bincount(data.val.labels).tolist() == [2, 1]


@pytest.mark.skipif(not (SHARED / "photos").exists(), reason="../shared/photos is not here")
def test_photographs(tmp_path):
    data = load_folder(SHARED / "photos", 32, 0.2, 0, cache_dir=tmp_path)
    assert (len(data.train), len(data.val)) == (321, 80)
    assert np.bincount(data.val.labels).tolist() == [40, 27, 13]
    assert data.unusable == []
