"""Splits and folds are even, and a function of seed and content; groups stay together."""

import hashlib
import os
import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data import DataError, duplicates
from data.decode import decode
from data.duplicates import difference_hash, duplicate_pairs
from data.split import draw_folds, groups_in_order, split_train_val
from tests.data.pictures import assert_same, encoded, load, make_files, scene


def hashes(num):
    return [hashlib.sha256(f"{n}".encode()).hexdigest() for n in range(num)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.integers(2, 10))
def test_each_class_is_spread_evenly(labels, num_folds):
    sha256s, ids = hashes(len(labels)), range(len(labels))
    folds = draw_folds(groups_in_order(sha256s, ids, seed=1), labels, num_folds)
    for label in set(labels):
        counts = Counter(fold for fold, k in zip(folds, labels, strict=True) if k == label)
        sizes = [counts[fold] for fold in range(1, num_folds + 1)]
        assert max(sizes) - min(sizes) <= 1
    groups = groups_in_order(sha256s[::-1], ids[::-1], seed=1)
    backwards = draw_folds(groups, labels[::-1], num_folds)
    assert backwards[::-1] == folds


def test_each_class_has_its_share_in_val_or_its_smallest_group():
    labels = [0] * 12 + [1] * 12 + [2] * 3
    groups = [0] * 5 + [1] * 4 + [2] * 3 + [3] * 6 + [4] * 6 + [5] * 3
    splits = split_train_val(groups_in_order(hashes(27), groups, seed=0), labels, 0.2)
    val = [group for group, split in zip(groups, splits, strict=True) if split == "val"]
    assert val[:3] == [2] * 3 and val[3:] in ([3] * 6, [4] * 6)  # and class 2 has one group only
    labels = [0] * 70 + [1] * 25 + [2] * 4 + [3]
    splits = split_train_val(groups_in_order(hashes(100), range(100), seed=3), labels, 0.2)
    in_val = Counter(k for k, split in zip(labels, splits, strict=True) if split == "val")
    assert in_val == {0: 14, 1: 5, 2: 1}


def test_difference_hash_by_hand():
    ramp = Image.fromarray(np.tile(np.arange(0, 252, 28, dtype=np.uint8), (9, 1))).convert("RGB")
    assert difference_hash(ramp) == (2**64 - 1) << 64  # lighter to the right, equal below
    assert difference_hash(ramp.rotate(270, expand=True)) == 2**64 - 1
    assert difference_hash(Image.new("RGB", (50, 50), "white")) == 0


def test_the_search_finds_the_same_pairs_as_comparing_all():
    random = np.random.default_rng(0)
    found = [int.from_bytes(random.bytes(16), "big") for _ in range(300)]
    for number in range(200):
        flips = random.choice(128, size=random.integers(0, 14), replace=False)
        found.append(found[number] ^ sum(1 << int(bit) for bit in flips))
    pairs = ((i, j) for j in range(500) for i in range(j))
    wanted = {(i, j) for i, j in pairs if (found[i] ^ found[j]).bit_count() <= 10}
    near, is_complete = duplicate_pairs(range(500), found)
    assert is_complete and {tuple(pair) for pair in near.tolist()} == wanted
    # Pictures of one colour are not all the same.
    assert len(duplicate_pairs("abcd", [0, 0, 1, 2**128 - 1])[0]) == 0
    assert duplicate_pairs("abab", [0, 0, 0, 0])[0].tolist() == [[0, 2], [1, 3]]


def test_of_too_many_that_look_alike_only_equal_ones_are_found(monkeypatch):
    monkeypatch.setattr(duplicates, "MAX_COMPARISONS", 100)
    found = [2**40 - 1 ^ 1 << bit for bit in range(40)]
    pairs, is_complete = duplicate_pairs(range(41), [*found, found[7]])
    assert (pairs.tolist(), is_complete) == ([[7, 40]], False)


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
    seeds = {"dog/again": 0}
    for name, first_seed, count in (("dog", 0, 6), ("fox", 100, 5), ("wolf", 200, 4)):
        seeds |= {f"{name}/{n}": first_seed + n for n in range(count)}
    for name, seed in seeds.items():
        pixels = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.ppm").write_bytes(b"P6 9 7 255 " + pixels.tobytes())
    (tmp_path / "dog" / "bad.jpg").write_bytes(b"<html>")
    num_folds = 3 if "fold" in changes else None
    assert load(tmp_path, num_folds=num_folds, **changes).fingerprint == expected


def test_near_duplicates_stay_in_one_split(animals):
    for number, path in enumerate(sorted((animals / "dog").iterdir())):
        small = scene(number).resize((60, 40))
        path.with_stem(f"{path.stem}-small").write_bytes(encoded(small, quality=60))
        shutil.copy(path, path.with_stem(f"{path.stem}-copy"))
    data = load(animals, val_fraction=0.5)
    dogs = [Counter(n[:7] for n in s.names if n < "e") for s in (data.train, data.val)]
    assert dogs[0] and dogs[1] and not dogs[0].keys() & dogs[1].keys()
    assert set((dogs[0] + dogs[1]).values()) == {3}


def test_rows_are_the_decoded_files_and_the_split_depends_on_seed_and_content(animals):
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
    assert set(data.val.names) != set(load(animals, seed=1).val.names)
    for number, path in enumerate(sorted(animals.rglob("*.jpg"), reverse=True)):
        path.rename(path.with_name(f"renamed {number}.jpeg"))
    after = load(animals)
    assert_same(data, after)
    assert data.val.names != after.val.names
    (animals / "dog" / "new.jpg").write_bytes(encoded(scene(999)))  # the others hardly move
    assert len(set(after.val.names) ^ set(load(animals).val.names)) <= 2


GROUPS = {"folder": 1, r"clip\d+": 2, r"/(clip\d+)_": 2, r"(q)|(clip\d+)": 2, r"(l)\d/(clip\d+)": 2}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("num_folds", [None, 3])
def test_groups_stay_in_one_split(tmp_path, group, num_folds):
    """A group is a folder, or the text that all parentheses of a pattern match."""
    clips = [f"{name}/animal{n}/clip{n}" for name in ("dog", "fox") for n in range(6)]
    names = [f"{clip}_{frame}.jpg" for clip in clips for frame in range(3)]
    data = load(make_files(tmp_path, names), group=group, num_folds=num_folds)
    train, val = (
        {name.split("/")[GROUPS[group]].split("_")[0] for name in split.names}
        for split in (data.train, data.val)
    )
    assert train and val and not train & val


def test_groups_that_match_nothing_or_leak_are_reported(animals, tmp_path):
    for group in ("clip", "folder"):
        with pytest.raises(DataError, match=f"{group} gives no file a group, for example dog/000"):
            load(animals, group=group)
    (note, *_) = load(animals, group="dog").warnings
    assert note.startswith("data.group=dog: 12 files in no group: fox/000.jpg, fox/001.jpg")
    names = "train/dog/clip0 train/fox/clip0 val/dog/clip1 val/fox/clip1 val/dog/clip0_2".split()
    root = make_files(tmp_path / "split", [f"{name}.jpg" for name in names])
    assert "1 group in both train and val: clip0" in load(root, group=r"clip\d").warnings
