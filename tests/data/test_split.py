"""Splits and folds depend on content and seed; groups stay together, classes are spread evenly."""

import hashlib
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from data.split import draw_folds, groups_in_order, split_train_val

pictures = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 25)), min_size=1, max_size=60)


def hashes(num, salt=""):
    return [hashlib.sha256(f"{salt}{n}".encode()).hexdigest() for n in range(num)]


@given(pictures, st.integers(2, 7), st.integers(0, 3))
def test_groups_stay_together_whatever_the_order_of_files(rows, num_folds, seed):
    labels, groups = (list(column) for column in zip(*rows, strict=True))
    sha256s = hashes(len(rows))
    folds = draw_folds(groups_in_order(sha256s, groups, seed), labels, num_folds)
    assert len(set(zip(groups, folds, strict=True))) == len(set(groups))
    assert set(folds) <= set(range(1, num_folds + 1))
    reversed_groups = groups_in_order(sha256s[::-1], groups[::-1], seed)
    backwards = draw_folds(reversed_groups, labels[::-1], num_folds)
    assert backwards[::-1] == folds


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.integers(2, 10))
def test_each_class_is_spread_evenly(labels, num_folds):
    folds = draw_folds([[n] for n in range(len(labels))], labels, num_folds)
    for label in set(labels):
        counts = Counter(fold for fold, k in zip(folds, labels, strict=True) if k == label)
        sizes = [counts[fold] for fold in range(1, num_folds + 1)]
        assert max(sizes) - min(sizes) <= 1


def test_a_class_of_large_groups_gets_its_smallest_one():
    labels = [0] * 12 + [1] * 12 + [2] * 3
    groups = [0] * 5 + [1] * 4 + [2] * 3 + [3] * 6 + [4] * 6 + [5] * 3
    splits = split_train_val(groups_in_order(hashes(27), groups, seed=0), labels, 0.2)
    val = [group for group, split in zip(groups, splits, strict=True) if split == "val"]
    assert val[:3] == [2] * 3 and val[3:] in ([3] * 6, [4] * 6)  # and class 2 has one group only


def test_split_counts_and_stability():
    sha256s = [f"{number:064x}" for number in range(100)]
    labels = [0] * 70 + [1] * 25 + [2] * 4 + [3]
    splits = split_train_val(groups_in_order(sha256s, range(100), seed=3), labels, 0.2)
    num_val = [
        sum(s == "val" for s, t in zip(splits, labels, strict=True) if t == k) for k in range(4)
    ]
    assert num_val == [14, 5, 1, 0]
    reversed_groups = groups_in_order(sha256s[::-1], range(100), seed=3)
    backwards = split_train_val(reversed_groups, labels[::-1], 0.2)
    assert backwards[::-1] == splits
