"""The split into train and val, a function of the content of the files and the seed.

Groups of files are ordered by SHA-256(seed, smallest hash in the group). So names and the order of
the files do not matter, and a new picture hardly changes the split of the others.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

Groups = list[list[int]]  # the indices of the files in each group


def groups_in_order(sha256s: Sequence[str], group_ids: Sequence[int], seed: int) -> Groups:
    """Return the groups of files that must stay together, in random order.

    Args:
        sha256s, group_ids: the content (hex) and the group of each file.
    """
    members = defaultdict(list)
    for index, group_id in enumerate(group_ids):
        members[group_id].append(index)

    def draw(group: list[int]) -> str:
        smallest = min(sha256s[index] for index in group)
        return hashlib.sha256(f"{seed} {smallest}".encode()).hexdigest()

    return sorted(members.values(), key=draw)


def split_train_val(groups: Groups, labels: Sequence[int], val_fraction: float) -> list[str]:
    """Return "train" or "val" for each file, with the same share of each class in val.

    A group goes to val while no class of its files exceeds its share. A class that still has no
    picture in val gets its smallest group there. At least one picture per class stays in train.

    Example:
        >>> split_train_val([[1], [0], [2], [3]], [0, 0, 1, 1], 0.5)
        ['train', 'val', 'val', 'train']
    """
    sizes = Counter(labels).items()
    most = Counter({label: n - 1 for label, n in sizes})
    room = Counter({label: min(max(round(n * val_fraction), 1), n - 1) for label, n in sizes})
    splits, num_val = ["train"] * len(labels), Counter[int]()

    def move(group: list[int], limit: Counter[int]) -> None:
        needed = Counter(labels[index] for index in group)
        if all(num_val[label] + count <= limit[label] for label, count in needed.items()):
            num_val.update(needed)
            for index in group:
                splits[index] = "val"

    for group in groups:
        move(group, room)
    for group in sorted(groups, key=len):
        if not all(num_val[labels[index]] for index in group):
            move(group, most)
    return splits


def draw_folds(groups: Groups, labels: Sequence[int], num_folds: int) -> list[int]:
    """Return the fold of each file, from 1; each class is spread evenly over the folds.

    The largest groups come first. Each goes to the fold with the fewest pictures of its classes, or
    to the smallest of several such folds.

    Example:
        >>> draw_folds([[0], [1], [2], [3]], [0, 0, 1, 1], 2)
        [1, 2, 1, 2]
    """
    counts: list[Counter[int]] = [Counter() for _ in range(num_folds)]
    folds = [0] * len(labels)
    for group in sorted(groups, key=len, reverse=True):
        needed = Counter(labels[index] for index in group)
        fold = min(
            range(num_folds),
            key=lambda n: (sum(counts[n][label] for label in needed), counts[n].total()),
        )
        counts[fold] += needed
        for index in group:
            folds[index] = fold + 1
    return folds
