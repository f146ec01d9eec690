"""The same picture twice, or nearly: within a class, under two labels, or on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from data.decode import Facts
from data.near import Pairs, groups, near_pairs


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two files that show one picture."""

    first: int  # index of the file, as the caller counts
    second: int
    same_content: bool  # else nearly the same to look at
    across_classes: bool  # two labels for one picture
    across_splits: bool  # seen in training, asked in validation


def same_or_near(facts: Sequence[Facts]) -> Pairs:
    """Pairs of files with equal content or nearly equal look, enough to join every group.

    Shape:
        returns (P, 2) indices into `facts`.
    """
    by_content = sorted(range(len(facts)), key=lambda i: facts[i].sha256)
    equal = [(i, j) for i, j in pairwise(by_content) if facts[i].sha256 == facts[j].sha256]
    near = near_pairs([f.difference_hash for f in facts])
    pairs = np.concatenate([np.array(equal, np.int64).reshape(-1, 2), near])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def group_ids(num_files: int, pairs: Pairs) -> list[int]:
    """Equal for files that show one picture."""
    return [int(group) for group in groups(num_files, pairs)]


def classify(
    pairs: Pairs, facts: Sequence[Facts], class_names: Sequence[str], splits: Sequence[str]
) -> list[Duplicate]:
    """What each pair means.

    Args:
        pairs: (P, 2) indices into the others.
        facts, class_names, splits: of each file.
    """
    return [
        Duplicate(
            first=i,
            second=j,
            same_content=facts[i].sha256 == facts[j].sha256,
            across_classes=class_names[i] != class_names[j],
            across_splits=splits[i] != splits[j],
        )
        for i, j in pairs.tolist()
    ]


@dataclass(frozen=True, slots=True)
class DuplicateCounts:
    """How many pairs of each kind: what a run says in one line."""

    total: int
    within: int  # one class and one split
    across_classes: int
    across_splits: int


def count(duplicates: Sequence[Duplicate]) -> DuplicateCounts:
    """Pairs of each kind; one across both classes and splits counts in both."""
    classes = sum(d.across_classes for d in duplicates)
    splits = sum(d.across_splits for d in duplicates)
    within = sum(not (d.across_classes or d.across_splits) for d in duplicates)
    return DuplicateCounts(len(duplicates), within, classes, splits)
