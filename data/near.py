"""Which pictures are the same or nearly so, among hundreds of thousands, by their hashes."""

from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from data.difference_hash import NUM_BITS

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


def near_pairs(hashes: list[int], max_distance: int = MAX_DISTANCE) -> Pairs:
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
    of_hash: dict[int, list[int]] = {}
    for index in telling:
        of_hash.setdefault(hashes[index], []).append(index)
    equal = [pair for indices in of_hash.values() for pair in pairwise(indices)]
    first = np.array([indices[0] for indices in of_hash.values()], np.int64)
    different = first[_pairs_of_distinct(list(of_hash), max_distance)]
    return np.concatenate([np.array(equal, np.int64).reshape(-1, 2), different])


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
    """The largest distance whose comparisons are few enough, and the keys to search it by.

    Where hundreds of thousands of pictures look much alike (digits, icons), a wide search would
    compare nearly all with all, and find pairs that mean nothing.
    """
    for distance in range(max_distance, 0, -1):
        keys = list(_keys(words, distance))
        if sum(_num_agreeing(key) for key in keys) <= MAX_COMPARISONS:
            return distance, keys
    return 0, []  # equal hashes are found without a search


def _keys(words: Words, distance: int) -> Iterator[Words]:
    """For every two bands a key: the bits of both. (N,) each."""
    bits = np.unpackbits(words.astype(">u8").view(np.uint8), axis=1)  # (N, 128)
    num_bands = distance + 2
    # Every num_bands-th bit: neighbouring cells look alike, so they go to different bands.
    bands = [
        bits[:, band::num_bands] @ (2 ** np.arange(len(range(band, NUM_BITS, num_bands))))
        for band in range(num_bands)
    ]
    for one, other in combinations(bands, 2):
        # A band of more than 32 bits loses some here; the pairs are only candidates.
        yield one.astype(np.uint64) << np.uint64(32) | other.astype(np.uint64) & np.uint64(
            2**32 - 1
        )


def _num_agreeing(keys: Words) -> int:
    counts = np.unique(keys, return_counts=True)[1].astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())


def _agreeing(keys: Words) -> Iterator[Pairs]:
    """All pairs i < j of equal keys, in chunks: sorted, equals stand beside each other."""
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


def groups(num_items: int, pairs: Pairs) -> npt.NDArray[np.int64]:
    """Numbers the connected groups: items that pairs join, however indirectly, get one number.

    Shape:
        pairs (P, 2); returns (num_items,), the smallest index of each item's group.
    """
    parent = list(range(num_items))

    def find(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for i, j in pairs.tolist():
        low, high = sorted((find(i), find(j)))
        parent[high] = low
    return np.array([find(item) for item in range(num_items)], np.int64)
