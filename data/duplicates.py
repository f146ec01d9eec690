"""Find pictures that are the same or nearly the same, among hundreds of thousands.

The hash of a picture compares each cell of a coarse grid with the cell to its right (N. Krawetz,
"Kind of Like That", 2013). Ours also compares it with the cell below, so that unrelated pictures
agree in fewer bits.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
from PIL import Image

NUM_BITS = 128
# Hashes that differ in at most this many bits count as one picture. We measured 581 photographs,
# 149 of them in two sizes: hashes of one picture differed in 0 to 9 bits, hashes of unrelated
# pictures in 19 or more. After saving at a lower quality, halving the size or trimming 1 %, 96 %
# of the photographs stayed within 10 bits.
MAX_DISTANCE = 10
# Different pictures of one colour or one gradient have nearly the same hash. Such a hash has very
# few or very many bits set, and is not compared.
_MIN_BITS_SET, _MAX_BITS_SET = 12, NUM_BITS - 12
MAX_COMPARISONS = 300_000_000  # they take half a minute

Pairs = npt.NDArray[np.int64]  # (P, 2)


def difference_hash(image: Image.Image) -> int:
    """Return 128 bits that stay nearly the same when a picture is resized or saved again.

    The picture becomes a grid of 9 x 9 grey cells. For each of the first 8 x 8 cells, one bit says
    whether the cell to its right is lighter, and another bit whether the cell below is lighter.
    The hash of a picture of one colour is 0.
    """
    # `reducing_gap` averages whole blocks first: 4 times faster, and exact enough for 9 x 9 cells
    small = image.resize((9, 9), Image.Resampling.BILINEAR, reducing_gap=2.0)
    grey = np.asarray(small.convert("L"))
    to_the_right = grey[:8, 1:] > grey[:8, :8]  # (8, 8)
    below = grey[1:, :8] > grey[:8, :8]  # (8, 8)
    bits = np.packbits(np.concatenate([to_the_right.ravel(), below.ravel()]))
    return int.from_bytes(bits.tobytes(), "big")


def duplicate_pairs(sha256s: Sequence[str], hashes: Sequence[int]) -> tuple[Pairs, bool]:
    """Return the pairs of files that have equal content or look nearly equal.

    Among files that are equal, each is paired only with the next one, which is enough to group
    them.

    Returns:
        the pairs (P, 2) of indices i < j; and whether they are complete. They are not if so many
        pictures look alike, as digits do, that the search needs over `MAX_COMPARISONS`: then only
        equal ones are found.

    Example:
        >>> hashes = [3 << 60 | 2**40 - 1, 1 << 60 | 2**40 - 1, 2**80 - 2**40]
        >>> duplicate_pairs(["a", "b", "c"], hashes)
        (array([[0, 1]]), True)
    """
    kept = [i for i, h in enumerate(hashes) if _MIN_BITS_SET <= h.bit_count() <= _MAX_BITS_SET]
    equal = np.array(kept, np.int64)[_neighbours([hashes[i] for i in kept])]
    index_of = {hashes[index]: index for index in reversed(kept)}  # the first of equals
    near = _near_pairs(list(index_of))
    found = [] if near is None else [np.array(list(index_of.values()), np.int64)[near]]
    pairs = np.sort(np.concatenate([_neighbours(sha256s), equal, *found]), axis=1)
    codes = np.unique(pairs[:, 0] * len(hashes) + pairs[:, 1])  # unique(axis=0) takes seconds
    return np.stack(np.divmod(codes, max(1, len(hashes))), axis=1), near is not None


def prints_of(sha256s: Sequence[str], hashes: Sequence[int]) -> bytes:
    """Return 24 bytes per file: 8 of its SHA-256, 16 of the difference hash of its picture."""
    files = zip(sha256s, hashes, strict=True)
    return b"".join(bytes.fromhex(s)[:8] + h.to_bytes(NUM_BITS // 8, "big") for s, h in files)


def seen_before(old: bytes, new: bytes) -> npt.NDArray[np.bool_]:
    """Return (N,) bool: whether each new file shows the same picture as an old one, or nearly.

    Args:
        old, new: as from `prints_of`.
    """
    prints = [(old + new)[i : i + 24] for i in range(0, len(old + new), 24)]
    hashes = [int.from_bytes(each[8:], "big") for each in prints]
    pairs, _ = duplicate_pairs([each[:8].hex() for each in prints], hashes)
    num_old = len(old) // 24
    return np.array(group_ids(len(prints), pairs)[num_old:], np.int64) < num_old


def group_ids(num_items: int, pairs: Pairs, labels: Sequence[str] = ()) -> list[int]:
    """Return the group of each item, named after the smallest index in the group.

    Items are in one group if a chain of pairs connects them. Items with the same label are also in
    one group, unless the label is empty. The method is union-find.

    Example:
        >>> group_ids(4, np.array([[1, 3]]), ["a", "", "a", ""])
        [0, 1, 0, 1]
    """
    parent = list(range(num_items))

    def find(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    same_label = [pair for pair in _neighbours(labels).tolist() if labels[pair[0]]]
    for i, j in [*pairs.tolist(), *same_label]:
        low, high = sorted((find(i), find(j)))
        parent[high] = low
    return [find(item) for item in range(num_items)]


def _neighbours(keys: Sequence[str | int]) -> Pairs:
    """Pair each item with the next one of the same key."""
    last: dict[str | int, int] = {}
    pairs = []
    for index, key in enumerate(keys):
        if key in last:
            pairs.append((last[key], index))
        last[key] = index
    return np.array(pairs, np.int64).reshape(-1, 2)


def _near_pairs(hashes: Sequence[int]) -> Pairs | None:
    """Return the pairs that differ in at most `MAX_DISTANCE` bits; None if that takes too long.

    The bits are cut into `MAX_DISTANCE` + 2 bands. At most `MAX_DISTANCE` of them can differ in a
    near pair, so only hashes that are equal in two bands are compared.
    """
    content = np.frombuffer(b"".join(h.to_bytes(16, "big") for h in hashes), np.uint8)
    bits = np.unpackbits(content.reshape(-1, 16), axis=1)  # (N, 128)
    words = content.view(np.uint64).reshape(-1, 2)
    # A band takes every 12th bit, because the bits of neighbouring cells are often equal.
    packed = [np.packbits(bits[:, k :: MAX_DISTANCE + 2], axis=1) for k in range(MAX_DISTANCE + 2)]
    bands = [band.view(np.uint16).ravel().astype(np.uint64) for band in packed]  # (N,), 11 bits
    found, num_compared = [np.empty((0, 2), np.int64)], 0
    for one, other in combinations(bands, 2):
        # The upper bits hold the bands, the lower bits the index: sorting is faster than argsort.
        both = np.sort(one << 48 | other << 32 | np.arange(len(hashes), dtype=np.uint64))
        keys, order = both >> 32, (both & 0xFFFFFFFF).astype(np.int64)
        starts, step = np.arange(len(keys)), 0
        while len(starts):  # compare each hash with the one `step` places further
            step += 1
            starts = starts[starts + step < len(keys)]
            starts = starts[keys[starts] == keys[starts + step]]
            num_compared += len(starts)
            if num_compared > MAX_COMPARISONS:
                return None
            i, j = order[starts], order[starts + step]
            near = np.bitwise_count(words[i] ^ words[j]).sum(axis=1) <= MAX_DISTANCE
            found.append(np.stack([i[near], j[near]], axis=1))
    return np.concatenate(found)
