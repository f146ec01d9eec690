"""The same picture twice, or nearly: which files show one picture, among hundreds of thousands.

The row-wise difference hash is folklore (N. Krawetz, "Kind of Like That", 2013); ours takes the
column-wise differences too, which halves the bits that unrelated pictures share.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
from PIL import Image

NUM_BITS = 128
# Two hashes this close are one picture. Among 581 photographs, of which 149 are there in two sizes,
# the pairs that are the same to the eye lie 0 to 9 bits apart, unrelated ones 19 and more. Saving
# at a lower quality, halving the size or trimming 1 % stays within 10 for 96 % of them.
MAX_DISTANCE = 10
# Pictures with little in them (one colour, a gradient) agree in hash without being the same.
_MIN_BITS_SET, _MAX_BITS_SET = 12, NUM_BITS - 12
_CHUNK_PAIRS = 2**20  # compared at a time, to bound the memory
MAX_COMPARISONS = 300_000_000  # some 10 s

Pairs = npt.NDArray[np.int64]  # (P, 2)
Words = npt.NDArray[np.uint64]


def difference_hash(image: Image.Image) -> int:
    """Return 128 bits that stay nearly the same when a picture is resized or saved anew.

    On a grid of 9 x 9 grey cells, 64 bits say whether a cell of the 8 x 8 first ones is darker
    than its neighbour to the right, 64 bits than the one below; 0 for a picture of one colour.

    Args:
        image: upright RGB, any size.
    """
    # A coarse hash needs no exact filter: reducing_gap averages whole blocks first, 4 x faster.
    small = image.resize((9, 9), Image.Resampling.BILINEAR, reducing_gap=2.0)
    grey = np.asarray(small.convert("L"))
    to_the_right = grey[:8, 1:] > grey[:8, :8]  # (8, 8)
    below = grey[1:, :8] > grey[:8, :8]  # (8, 8)
    bits = np.packbits(np.concatenate([to_the_right.ravel(), below.ravel()]))
    return int.from_bytes(bits.tobytes(), "big")


def duplicate_pairs(sha256s: Sequence[str], hashes: Sequence[int]) -> Pairs:
    """Pair files with equal content or nearly equal look; enough pairs to join every group.

    Args:
        sha256s, hashes: of each file, its content and its difference hash.

    Shape:
        returns (P, 2) indices i < j.
    """
    pairs = np.concatenate([_neighbours(sha256s), near_pairs(hashes)])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def group_ids(num_items: int, pairs: Pairs, labels: Sequence[str] = ()) -> list[int]:
    """Number the connected groups (union-find): items that pairs join, however indirectly.

    Args:
        pairs: (P, 2) indices.
        labels: where given, items of one label that is not empty are joined, too.

    Returns:
        The smallest index of each item's group.

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


def near_pairs(hashes: Sequence[int], max_distance: int = MAX_DISTANCE) -> Pairs:
    """All pairs of hashes that differ in at most `max_distance` of their 128 bits.

    Of equal hashes only neighbours are paired: enough to group them, where all pairs would not
    fit. The search is exact (but see `_affordable`) and not quadratic: cut into `max_distance` + 2
    bands, two such hashes agree wholly in at least two of them. So for every two bands, only
    hashes that agree in both are compared.

    Shape:
        returns (P, 2) indices i, j into `hashes`.

    Example:
        >>> near_pairs([3 << 60 | 2**40 - 1, 1 << 60 | 2**40 - 1, 2**80 - 2**40]).tolist()
        [[0, 1]]
    """
    telling = [i for i, h in enumerate(hashes) if _MIN_BITS_SET <= h.bit_count() <= _MAX_BITS_SET]
    indices = np.array(telling, np.int64)
    equal = indices[_neighbours([hashes[i] for i in telling])]
    first_of: dict[int, int] = {}
    for index in telling:
        first_of.setdefault(hashes[index], index)
    first = np.array(list(first_of.values()), np.int64)
    return np.concatenate([equal, first[_pairs_of_distinct(list(first_of), max_distance)]])


def _pairs_of_distinct(hashes: list[int], max_distance: int) -> Pairs:
    words = np.array([[h >> 64, h & (2**64 - 1)] for h in hashes], np.uint64).reshape(-1, 2)
    distance, keys = _affordable(words, max_distance)
    found = [np.empty((0, 2), np.int64)]
    for key in keys:
        for candidates in _agreeing(key):
            differing = words[candidates[:, 0]] ^ words[candidates[:, 1]]
            num_differing = np.bitwise_count(differing).sum(axis=1)
            found.append(candidates[num_differing <= distance])
    return np.unique(np.concatenate(found), axis=0)


def _affordable(words: Words, max_distance: int) -> tuple[int, list[Words]]:
    """Choose the largest distance whose comparisons are few enough, and the keys to search it by.

    Where hundreds of thousands of pictures look much alike (digits, icons), a wide search would
    compare nearly all with all, and find pairs that mean nothing.
    """
    for distance in range(max_distance, 0, -1):
        keys = list(_keys(words, distance))
        if sum(_num_agreeing(key) for key in keys) <= MAX_COMPARISONS:
            return distance, keys
    return 0, []  # equal hashes are found without a search


def _keys(words: Words, distance: int) -> Iterator[Words]:
    """Yield for every two bands a key: the bits of both. (N,) each."""
    bits = np.unpackbits(words.astype(">u8").view(np.uint8), axis=1)  # (N, 128)
    num_bands = distance + 2
    # Every num_bands-th bit: neighbouring cells look alike, so they go to different bands.
    bands = [
        bits[:, band::num_bands] @ (2 ** np.arange(len(range(band, NUM_BITS, num_bands))))
        for band in range(num_bands)
    ]
    low_half = np.uint64(2**32 - 1)  # of a wider band some bits are lost: pairs are candidates only
    for one, other in combinations(bands, 2):
        yield one.astype(np.uint64) << np.uint64(32) | other.astype(np.uint64) & low_half


def _num_agreeing(keys: Words) -> int:
    counts = np.unique(keys, return_counts=True)[1].astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())


def _agreeing(keys: Words) -> Iterator[Pairs]:
    """Yield all pairs i < j of equal keys, in chunks: sorted, equals stand beside each other."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.arange(len(keys))  # of the runs that may still reach `step` further
    step = 0
    while len(starts):
        step += 1
        starts = starts[starts + step < len(keys)]
        starts = starts[keys[starts] == keys[starts + step]]
        for chunk in range(0, len(starts), _CHUNK_PAIRS):
            left = starts[chunk : chunk + _CHUNK_PAIRS]
            yield np.stack([order[left], order[left + step]], axis=1)
