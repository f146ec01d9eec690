"""The cache: correct if files change, complete if runs are killed or run at the same time."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import filelock
import numpy as np
import pytest

from data import cache
from tests.data.pictures import assert_same, encoded, load, scene


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def start(animals, kept, decoded):
    """Return a function that loads the pictures, and compares them with those without a cache."""

    def load_twice(cache_dir=kept, **changes):
        del decoded[:]
        data = load(animals, cache_dir, **changes)
        names = sorted(decoded)
        assert_same(data, load(animals, **changes))
        return data, names

    return load_twice


def num_rows(kept):
    (path,) = kept.glob("*/pixels-*")
    return path.stat().st_size / (3 * (16 * 16 + 20 * 20))


def test_the_second_start_decodes_nothing_and_reads_a_mapped_file(
    animals, start, kept, monkeypatch
):
    (animals / "dog" / "page.jpg").write_bytes(b"<html>")  # unusable files are remembered too
    cold, names = start()
    assert len(names) == 25
    acquire = filelock.FileLock.acquire

    def refuse(lock, *arguments, **options):  # as if the cache were read-only
        assert str(kept) not in lock.lock_file
        return acquire(lock, *arguments, **options)

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    warm, names = start()
    assert names == [] and warm.unusable == cold.unusable
    assert isinstance(warm.train.images.array, np.memmap)
    assert not warm.train.images.array.flags.writeable


def test_folds_and_seeds_share_one_cache_and_another_decoder_has_its_own(start, kept, monkeypatch):
    assert len(start()[1]) == 24
    for changes in ({"seed": 1}, {"val_fraction": 0.5}, {"num_folds": 3, "fold": 2}):
        assert start(**changes)[1] == []
    assert num_rows(kept) == 24
    with monkeypatch.context() as other:
        other.setattr(cache, "DECODER", "crossent-next")
        assert len(start()[1]) == 24
    assert start()[1] == []


def test_only_new_touched_and_renamed_pictures_are_decoded_again(animals, start):
    """Two that swap names may have one size and mtime, for example if they come from an archive."""
    first, second = animals / "dog" / "first.bmp", animals / "fox" / "second.bmp"
    for number, path in enumerate((first, second)):
        path.write_bytes(encoded(scene(200 + number), "BMP"))
        os.utime(path, (1, 1))
    assert first.stat().st_size == second.stat().st_size
    start()
    first.rename(animals / "moved")
    second.rename(first)
    (animals / "moved").rename(second)
    (animals / "dog" / "new.jpg").write_bytes(encoded(scene(100)))
    os.utime(animals / "dog" / "001.jpg", (1, 1))
    (animals / "fox" / "002.jpg").rename(animals / "fox" / "renamed.jpg")
    data, names = start()
    assert names == ["001.jpg", "first.bmp", "new.jpg", "renamed.jpg", "second.bmp"]
    assert "fox/renamed.jpg" in {*data.train.names, *data.val.names}


def test_a_cache_whose_rows_are_no_longer_used_is_replaced(animals, start, kept):
    first, _ = start()
    before = np.array(first.train.images)
    for path in animals.rglob("*.jpg"):
        os.utime(path, (1, 1))
    assert len(start()[1]) == 24
    assert num_rows(kept) == 24  # nothing piled up
    np.testing.assert_array_equal(first.train.images, before)  # still mapped


@pytest.mark.parametrize(
    ("name", "damage", "num_decoded"),
    [
        ("pixels-*", lambda content: content[:100], 24),
        ("pixels-*", lambda content: content + b"half a row", 0),
        ("index.jsonl", lambda content: os.urandom(1000), 24),
        ("index.jsonl", lambda content: content[:-30], 1),
    ],
)
def test_damaged_parts_are_decoded_again(animals, start, kept, name, damage, num_decoded):
    start()
    (path,) = kept.glob(f"*/{name}")
    path.write_bytes(damage(path.read_bytes()))
    (animals / "dog" / "new.jpg").write_bytes(encoded(scene(100)))
    assert len(start()[1]) == num_decoded + 1
    assert start()[1] == []


def test_two_runs_at_once_decode_once(animals, kept, decoded):
    with ThreadPoolExecutor(2) as pool:
        assert_same(*pool.map(load, [animals] * 2, [kept] * 2))
    assert len(decoded) == 24
    assert num_rows(kept) == 24


def test_a_decoding_that_is_killed_continues_where_it_stopped(start, kept, tmp_path, monkeypatch):
    """A copy of the cache in the middle of the decoding is what a kill leaves."""
    decode_in_order = vars(cache)["decode_in_order"]

    def copy_half_way(*args, **kwargs):
        for number, result in enumerate(decode_in_order(*args, **kwargs)):
            if number == 7 and not (tmp_path / "killed").exists():
                shutil.copytree(kept, tmp_path / "killed")
            yield result

    monkeypatch.setattr(cache, "SECONDS_PER_COMMIT", -1.0)
    monkeypatch.setattr(cache, "decode_in_order", copy_half_way)
    start()
    assert len(start(tmp_path / "killed")[1]) == 24 - 7


def test_a_disk_that_fills_up_keeps_what_was_cached_before(start, monkeypatch):
    fsync, free = os.fsync, [None] * 5

    def fill(descriptor):
        if not free:
            raise OSError(28, "No space left on device")
        free.pop()
        fsync(descriptor)

    with monkeypatch.context() as full:
        full.setattr(cache, "SECONDS_PER_COMMIT", -1.0)
        full.setattr(os, "fsync", fill)
        assert "cannot be cached ([Errno 28] No space left" in "".join(start()[0].warnings)
    assert len(start()[1]) == 24 - 5  # five were kept before the disk was full


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("filelock.FileLock.acquire", NotImplementedError("no locks here")),
        ("fcntl.flock", OSError(errno.ENOLCK, "No locks available")),
        ("data.cache.Path.mkdir", FileExistsError(17, "File exists")),
        ("pwd.getpwuid", KeyError("no such user")),
    ],
)
def test_a_cache_that_cannot_be_written_costs_speed_and_one_warning(
    animals, start, kept, monkeypatch, function, error
):
    if function == "pwd.getpwuid":  # no home
        kept = ""
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("HOME")
    before = load(animals).warnings
    monkeypatch.setattr(function, Mock(side_effect=error))
    (warning,) = set(start(kept)[0].warnings) - set(before)
    reason = "home" if function == "pwd.getpwuid" else str(error)
    assert "cannot be cached" in warning and reason in warning and "\n" not in warning
