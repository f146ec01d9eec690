"""Find pictures that are the same or nearly the same, among hundreds of thousands.

The hash of a picture compares each cell of a coarse grid with the cell to its right (N. Krawetz,
"Kind of Like That", 2013). Ours also compares it with the cell below, so that unrelated pictures
agree in fewer bits.
"""

from collections.abc import Iterator, Sequence
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
MAX_COMPARISONS = 300_000_000  # about 10 s
_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)  # odd factors of `_agreeing`

Pairs = npt.NDArray[np.int64]  # (P, 2)
Indices = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


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


def duplicate_pairs(sha256s: Sequence[str], hashes: Sequence[int]) -> Pairs:
    """Return the pairs of files that have equal content or look nearly equal.

    Among files that are equal, each is paired only with the next one, which is enough to group
    them. The search finds every near pair without comparing all hashes with all: the bits of a hash
    are cut into `MAX_DISTANCE` + 2 bands. Two hashes that differ in at most `MAX_DISTANCE` bits are
    equal in two bands or more, so only hashes that are equal in two bands are compared.

    Hundreds of thousands of digits or icons look so alike that nearly all of them would be
    compared. In that case, the search uses the largest distance that needs at most
    `MAX_COMPARISONS` comparisons.

    Shape:
        returns (P, 2) indices i < j.

    Example:
        >>> hashes = [3 << 60 | 2**40 - 1, 1 << 60 | 2**40 - 1, 2**80 - 2**40]
        >>> duplicate_pairs(["a", "b", "c"], hashes).tolist()
        [[0, 1]]
    """
    kept = [i for i, h in enumerate(hashes) if _MIN_BITS_SET <= h.bit_count() <= _MAX_BITS_SET]
    equal = np.array(kept, np.int64)[_neighbours([hashes[i] for i in kept])]
    index_of = {hashes[index]: index for index in reversed(kept)}  # the first of equals
    indices = np.array(list(index_of.values()), np.int64)
    content = b"".join(h.to_bytes(NUM_BITS // 8, "big") for h in index_of)
    words = np.frombuffer(content, np.uint64).reshape(-1, 2)
    found = [_neighbours(sha256s), equal]
    for distance in range(MAX_DISTANCE, 0, -1):
        agreeing = list(_agreeing(words, distance))
        if sum(_num_pairs(keys) for keys, _ in agreeing) <= MAX_COMPARISONS:
            for i, j in (pair for keys, order in agreeing for pair in _pairs(keys, order)):
                near = np.bitwise_count(words[i] ^ words[j]).sum(axis=1) <= distance
                found.append(indices[np.stack([i[near], j[near]], axis=1)])
            break
    pairs = np.sort(np.concatenate(found), axis=1)
    codes = np.unique(pairs[:, 0] * len(hashes) + pairs[:, 1])  # unique(axis=0) takes seconds
    return np.stack(np.divmod(codes, max(1, len(hashes))), axis=1)


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
    groups = group_ids(len(prints), duplicate_pairs([each[:8].hex() for each in prints], hashes))
    num_old = len(old) // 24
    return np.array(groups[num_old:], np.int64) < num_old


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


def _agreeing(words: Words, distance: int) -> Iterator[tuple[Words, Indices]]:
    """Yield, for every two bands, the sorted keys of the hashes and their indices in that order."""
    bits = np.unpackbits(words.view(np.uint8), axis=1)  # (N, 128)
    num_bands = distance + 2
    # A band takes every num_bands-th bit, because the bits of neighbouring cells are often equal.
    bands = [bits[:, band::num_bands].astype(np.uint64) for band in range(num_bands)]
    numbers = [band @ (1 << np.arange(band.shape[1], dtype=np.uint64)) for band in bands]
    index = np.arange(len(words), dtype=np.uint64)
    low = np.uint64(2 ** len(words).bit_length() - 1)  # the bits of an index
    for one, other in combinations(numbers, 2):
        # The upper bits hold the key, the lower bits the index: sorting is faster than argsort.
        both = np.sort((one * _ODD[0] + other * _ODD[1]) & ~low | index)
        yield both & ~low, (both & low).astype(np.int64)


def _num_pairs(keys: Words) -> int:
    counts = np.unique(keys, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def _pairs(keys: Words, order: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Yield the pairs of indices whose keys are equal; the keys are sorted."""
    starts, step = np.arange(len(keys)), 0
    while len(starts):  # compare each key with the one `step` places further
        step += 1
        starts = starts[starts + step < len(keys)]
        starts = starts[keys[starts] == keys[starts + step]]
        yield order[starts], order[starts + step]
