"""Folders of pictures: what is taken, how it is split, what is left out and by which name."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from data import pictures, workers
from data.decode import UnusableImage, decode
from data.folder import load_folder, load_folder_for_evaluation
from data.near import groups, near_pairs
from data.split import split_train_val
from data.workers import Job, inspect_files
from tests.data.pictures import SHARED, encoded, make_folder, scene


def load(root, **changes):
    arguments = {"image_size": 16, "val_fraction": 0.25, "seed": 0, "use_cache": False}
    return load_folder(root, **{**arguments, **changes})


@pytest.fixture
def animals(tmp_path):
    return make_folder(tmp_path / "animals", {"dog": 12, "fox": 8, "wolf": 4})


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


def same(one, other):
    assert one.fingerprint == other.fingerprint
    for split in ("train", "val"):
        np.testing.assert_array_equal(getattr(one, split).images, getattr(other, split).images)
        np.testing.assert_array_equal(getattr(one, split).labels, getattr(other, split).labels)


def test_names_and_order_change_nothing(animals):
    before = load(animals)
    for number, path in enumerate(sorted(animals.rglob("*.jpg"), reverse=True)):
        path.rename(path.with_name(f"renamed {number}.jpeg"))
    after = load(animals)
    same(before, after)
    assert before.val.names != after.val.names


def test_the_split_depends_on_the_seed_and_not_on_the_size(animals):
    assert set(load(animals).val.names) == set(load(animals, image_size=300).val.names)
    assert set(load(animals).val.names) != set(load(animals, seed=1).val.names)


def test_a_new_picture_moves_hardly_any_other(animals):
    before = set(load(animals).val.names)
    (animals / "dog" / "new.jpg").write_bytes(encoded(scene(999)))
    after = set(load(animals).val.names)
    assert len(before ^ after) <= 2


def test_near_duplicates_stay_on_one_side(tmp_path):
    root = make_folder(tmp_path / "animals", {"dog": 10, "fox": 10})
    for number in range(10):
        image = scene(number)
        copy = image.resize((60, 40))
        (root / "dog" / f"{number:03}-small.jpg").write_bytes(encoded(copy, quality=60))
        shutil.copy(root / "dog" / f"{number:03}.jpg", root / "dog" / f"{number:03}-copy.jpg")
    for seed in range(4):
        data = load(root, seed=seed)
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
    data = load(animals)
    assert len(data.train) + len(data.val) == 25
    assert {"dog/000.jpg", "dog/again.jpg"} <= {*data.train.names, *data.val.names}


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


def test_train_alone_is_split(tmp_path):
    make_folder(tmp_path / "train", {"dog": 8, "fox": 8})
    data = load(tmp_path)
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
    with pytest.raises(ValueError, match=message) as error:
        load(root)
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
    with pytest.raises(ValueError, match=message):
        load(animals, **changes)


def test_a_root_that_may_not_be_read(animals, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ValueError, match=r"animals: cannot be read \(Permission denied\)"):
        load(animals)


def test_a_class_folder_that_may_not_be_read(animals, monkeypatch):
    scandir = os.scandir

    def refuse_some(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    (animals / "dog" / "secret").mkdir()
    monkeypatch.setattr(os, "scandir", refuse_some)
    (unusable,) = load(animals).unusable
    assert (unusable.path, unusable.reason) == (
        "dog/secret",
        "unreadable folder: Permission denied",
    )


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


def test_nested_folders_are_searched(animals):
    make_folder(animals / "dog" / "more" / "deep", {"er": 2}, first_seed=90)
    names = {*load(animals).train.names, *load(animals).val.names}
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
    data = load(animals)
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
    assert np.bincount(load(animals).train.labels).tolist() == [9, 6, 3]


def test_unusable_files_are_left_out_by_name(animals):
    (animals / "fox" / "page.jpg").write_bytes(b"<html>404")
    (animals / "fox" / "half.jpg").write_bytes(encoded(scene(1, 300, 200))[:-500])
    data = load(animals)
    assert [unusable.path for unusable in data.unusable] == ["fox/half.jpg", "fox/page.jpg"]
    assert "truncated" in data.unusable[0].reason
    assert len(data.train) + len(data.val) == 24
    message = r"2 files cannot be used .*fox/half\.jpg: truncated.*on_bad"
    with pytest.raises(ValueError, match=message):
        load(animals, on_bad="error")


def test_a_file_that_vanishes_during_the_scan(animals, monkeypatch):
    listed = pictures.Pictures.read

    def vanish_then_read(self, indices):
        (animals / "dog" / "003.jpg").unlink(missing_ok=True)
        listed(self, indices)

    monkeypatch.setattr(pictures.Pictures, "read", vanish_then_read)
    data = load(animals)
    assert [unusable.path for unusable in data.unusable] == ["dog/003.jpg"]
    assert len(data.train) + len(data.val) == 23


def test_for_evaluation_classes_are_matched_by_name(animals):
    shutil.rmtree(animals / "dog")
    data = load_folder_for_evaluation(animals, ["cat", "dog", "fox", "wolf"], 16, use_cache=False)
    assert len(data.train) == 0
    assert np.bincount(data.val.labels, minlength=4).tolist() == [0, 0, 8, 4]
    assert data.class_names == ["cat", "dog", "fox", "wolf"]
    assert [w.split(": ")[1] for w in data.warnings] == ["no pictures of cat", "no pictures of dog"]
    with pytest.raises(ValueError, match="found the class wolf; the model knows only dog, fox"):
        load_folder_for_evaluation(animals, ["dog", "fox"], 16, use_cache=False)


def test_for_evaluation_val_is_taken(tmp_path):
    make_folder(tmp_path / "train", {"dog": 4, "fox": 3})
    make_folder(tmp_path / "val", {"dog": 2, "fox": 1}, first_seed=50)
    data = load_folder_for_evaluation(tmp_path, ["dog", "fox"], 16, use_cache=False)
    assert np.bincount(data.val.labels).tolist() == [2, 1]


def test_split_counts_and_stability():
    sha256s = [f"{number:064x}" for number in range(100)]
    labels = [0] * 70 + [1] * 25 + [2] * 4 + [3]
    splits = split_train_val(sha256s, labels, list(range(100)), 0.2, seed=3)
    num_val = [
        sum(s == "val" for s, at in zip(splits, labels, strict=True) if at == k) for k in range(4)
    ]
    assert num_val == [14, 5, 1, 0]
    backwards = split_train_val(sha256s[::-1], labels[::-1], list(range(100)), 0.2, seed=3)
    assert backwards[::-1] == splits


def test_near_pairs_finds_what_comparing_all_finds():
    random = np.random.default_rng(0)
    hashes = [int.from_bytes(random.bytes(16), "big") for _ in range(300)]
    for number in range(200):
        flips = random.choice(128, size=random.integers(0, 14), replace=False)
        hashes.append(hashes[number] ^ sum(1 << int(bit) for bit in flips))
    wanted = {
        (i, j)
        for j in range(len(hashes))
        for i in range(j)
        if (hashes[i] ^ hashes[j]).bit_count() <= 10
    }
    assert {(min(pair), max(pair)) for pair in near_pairs(hashes).tolist()} == wanted


def test_pictures_of_one_colour_are_not_all_the_same():
    assert len(near_pairs([0, 0, 1, 2**128 - 1])) == 0


def test_groups_are_connected_parts():
    pairs = np.array([[4, 3], [1, 3], [0, 5]])
    assert groups(6, pairs).tolist() == [0, 1, 2, 1, 1, 0]


@pytest.mark.slow
def test_a_crash_and_a_hang_are_one_files_problem_each(animals, monkeypatch):
    # The files themselves cannot do this to Pillow, as far as we know; so the worker is told to.
    site = animals.parent / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import builtins, os, time\n"
        "open_ = os.open\n"
        "def trap(path, *a, **k):\n"
        "    if str(path).endswith('crash.jpg'): os.abort()\n"
        "    if str(path).endswith('hang.jpg'): time.sleep(600)\n"
        "    return open_(path, *a, **k)\n"
        "os.open = trap\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setattr(workers, "SECONDS_A_FILE", 2.0)
    (animals / "dog" / "crash.jpg").write_bytes(encoded(scene(600)))
    (animals / "dog" / "hang.jpg").write_bytes(encoded(scene(601)))
    data = load(animals)
    assert {unusable.path: unusable.reason for unusable in data.unusable} == {
        "dog/crash.jpg": "crashes the decoder (exit status -6)",
        "dog/hang.jpg": "too slow: not decoded within 2 s",
    }
    assert len(data.train) + len(data.val) == 24


def test_what_libtiff_prints_stays_in_the_worker(tmp_path, capfd):
    content = encoded(scene(1), "TIFF", compression="tiff_lzw")
    path = tmp_path / "damaged.tif"
    path.write_bytes(content[:200] + b"\xff" * (len(content) - 400) + content[-200:])
    ((_, result),) = inspect_files([Job(str(path))])
    assert isinstance(result, UnusableImage)
    assert capfd.readouterr().err == ""
    with pytest.raises(UnusableImage):
        decode(path, 8)
    assert capfd.readouterr().err != ""  # the file is of the kind that makes libtiff talk


def test_a_consumer_that_stops_early_leaves_no_process(animals):
    jobs = [Job(str(path), (16,)) for path in animals.rglob("*.jpg")]
    results = inspect_files(jobs)
    next(results)
    results.close()
    assert Path(f"/proc/self/task/{os.getpid()}/children").read_text() == ""


@pytest.mark.skipif(not (SHARED / "photos").exists(), reason="../shared/photos is not here")
def test_photographs(tmp_path):
    data = load_folder(SHARED / "photos", 32, 0.2, 0, cache_dir=tmp_path)
    assert (len(data.train), len(data.val)) == (321, 80)
    assert np.bincount(data.val.labels).tolist() == [40, 27, 13]
    assert data.unusable == []
