"""Who trains and who validates: decided by the content of the files and the seed alone."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence


def split_train_val(
    sha256s: Sequence[str],
    labels: Sequence[int],
    group_ids: Sequence[int],
    val_fraction: float,
    seed: int,
) -> list[str]:
    """Gives each class's share to validation, and never parts the pictures of one group.

    Groups are drawn in the order of SHA-256(seed, smallest hash in the group): neither names nor
    the order of the files matter, and a picture added later moves hardly any other. A group goes
    to validation while all its classes have room there.

    Args:
        sha256s: of each file's content (hex).
        labels: class of each file.
        group_ids: equal for files that must stay together (near-duplicates).
        val_fraction: share of each class, 0 to 1; rounded, and at least one picture stays on
            either side where a class has two.
        seed: another seed, another split.

    Returns:
        "train" or "val" for each file.

    Example:
        >>> split_train_val(["aa", "bb", "cc", "dd"], [0, 0, 1, 1], [0, 1, 2, 3], 0.5, seed=0)
        ['train', 'val', 'val', 'train']
    """
    members: dict[int, list[int]] = defaultdict(list)
    for index, group_id in enumerate(group_ids):
        members[group_id].append(index)
    room = Counter(
        {label: _num_val(count, val_fraction) for label, count in Counter(labels).items()}
    )
    splits = ["train"] * len(labels)
    for group in sorted(members.values(), key=lambda group: _draw(sha256s, group, seed)):
        needed = Counter(labels[index] for index in group)
        if all(room[label] >= count for label, count in needed.items()):
            room -= needed
            for index in group:
                splits[index] = "val"
    return splits


def _num_val(count: int, val_fraction: float) -> int:
    return min(max(round(count * val_fraction), 1), count - 1)


def _draw(sha256s: Sequence[str], group: list[int], seed: int) -> str:
    smallest = min(sha256s[index] for index in group)
    return hashlib.sha256(f"{seed} {smallest}".encode()).hexdigest()
