"""Near-duplicates are found without comparing all with all, and form groups."""

import numpy as np
from PIL import Image

from data import duplicates
from data.duplicates import difference_hash, duplicate_pairs, prints_of, seen_before


def test_difference_hash_by_hand():
    ramp = Image.fromarray(np.tile(np.arange(0, 252, 28, dtype=np.uint8), (9, 1))).convert("RGB")
    assert difference_hash(ramp) == (2**64 - 1) << 64  # lighter to the right, equal below
    assert difference_hash(ramp.rotate(270, expand=True)) == 2**64 - 1
    assert difference_hash(Image.new("RGB", (50, 50), "white")) == 0


def test_the_search_finds_the_same_pairs_as_comparing_all():
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
    pairs, is_complete = duplicate_pairs(range(500), hashes)
    assert is_complete and {tuple(pair) for pair in pairs.tolist()} == wanted


def test_pictures_of_one_colour_are_not_all_the_same():
    assert len(duplicate_pairs("abcd", [0, 0, 1, 2**128 - 1])[0]) == 0
    assert duplicate_pairs("abab", [0, 0, 0, 0])[0].tolist() == [[0, 2], [1, 3]]


def test_of_too_many_that_look_alike_only_equal_ones_are_found(monkeypatch):
    monkeypatch.setattr(duplicates, "MAX_COMPARISONS", 100)
    hashes = [2**40 - 1 ^ 1 << bit for bit in range(40)]
    pairs, is_complete = duplicate_pairs(range(41), [*hashes, hashes[7]])
    assert (pairs.tolist(), is_complete) == ([[7, 40]], False)


def test_pictures_seen_before_are_found_by_content_and_by_look():
    first, second = (1 << 100) - (1 << 40), (1 << 60) - (1 << 10)
    old = prints_of(["aa" * 32, "bb" * 32], [first, 0])
    new = prints_of(["bb" * 32, "cc" * 32, "dd" * 32, "ee" * 32], [0, first ^ 0b101, second, 0])
    assert len(old) == 2 * 24
    assert seen_before(old, new).tolist() == [True, True, False, False]
    assert seen_before(b"", new).tolist() == [False] * 4
