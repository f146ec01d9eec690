"""The cache: correct if files change, complete if runs are killed or run at the same time."""

import errno
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from data import cache
from tests.data import pictures
from tests.data.pictures import assert_same, encoded, make_folder, scene

NUM_BYTES = 12 * 3 * (16 * 16 + 20 * 20)  # of 12 pictures in both sizes


@pytest.fixture
def animals(tmp_path):
    return make_folder(tmp_path / "animals", {"dog": 6, "fox": 6})


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "cache"


def load(animals, kept, **changes):
    return pictures.load(animals, kept, **changes)


def pixels_file(kept):
    (path,) = kept.glob("*/pixels-*")
    return path


def test_the_second_start_decodes_nothing_and_reads_a_mapped_file(animals, kept, decoded):
    (animals / "dog" / "page.jpg").write_bytes(b"<html>")  # unusable files are remembered too
    cold = load(animals, kept)
    assert len(decoded) == 13
    warm = load(animals, kept)
    assert len(decoded) == 13
    assert warm.unusable == cold.unusable
    assert_same(cold, warm)
    assert_same(cold, load(animals, None))
    assert isinstance(warm.train.images.array, np.memmap)
    assert not warm.train.images.array.flags.writeable


def test_folds_and_seeds_share_one_cache(animals, kept, decoded):
    for changes in ({}, {"seed": 1}, {"val_fraction": 0.5}, {"num_folds": 3, "fold": 2}):
        data = load(animals, kept, **changes)
        assert len(decoded) == 12
        assert_same(data, load(animals, None, **changes))
        del decoded[12:]
    assert pixels_file(kept).stat().st_size == NUM_BYTES


def test_one_new_one_touched_and_one_renamed_picture_decode_three(animals, kept, decoded):
    load(animals, kept)
    del decoded[:]
    (animals / "dog" / "new.jpg").write_bytes(encoded(scene(100)))
    os.utime(animals / "dog" / "001.jpg", (1, 1))
    (animals / "fox" / "002.jpg").rename(animals / "fox" / "renamed.jpg")
    data = load(animals, kept)
    assert sorted(decoded) == ["001.jpg", "new.jpg", "renamed.jpg"]
    assert_same(data, load(animals, None))
    assert "fox/renamed.jpg" in {*data.train.names, *data.val.names}


def test_two_pictures_that_swap_names_are_decoded_again(animals, kept, decoded):
    """Their size and mtime may be equal, for example if they come from an archive."""
    first, second = animals / "dog" / "001.bmp", animals / "fox" / "001.bmp"
    for number, path in enumerate((first, second)):
        path.write_bytes(encoded(scene(200 + number), "BMP"))
        os.utime(path, (1, 1))
    assert first.stat().st_size == second.stat().st_size
    load(animals, kept)
    first.rename(animals / "moved")
    second.rename(first)
    (animals / "moved").rename(second)
    assert_same(load(animals, kept), load(animals, None))


def test_a_cache_whose_rows_are_no_longer_used_is_replaced(animals, kept, decoded):
    first = load(animals, kept)
    before = np.array(first.train.images)
    for path in animals.rglob("*.jpg"):
        os.utime(path, (1, 1))
    load(animals, kept)
    assert len(decoded) == 24
    assert pixels_file(kept).stat().st_size == NUM_BYTES  # nothing piled up
    np.testing.assert_array_equal(first.train.images, before)  # still mapped


def test_each_version_of_the_decoder_has_its_cache(animals, kept, decoded, monkeypatch):
    load(animals, kept)
    with monkeypatch.context() as other:
        other.setattr(cache, "DECODER", "crossent-next")
        load(animals, kept)
    load(animals, kept)
    assert len(decoded) == 24


@pytest.mark.parametrize(
    ("name", "damage", "num_decoded"),
    [
        ("pixels-*", lambda content: content[:100], 12),
        ("pixels-*", lambda content: content + b"half a row", 0),
        ("index.jsonl", lambda content: os.urandom(1000), 12),
        ("index.jsonl", lambda content: content[:-30], 1),
    ],
)
def test_damaged_parts_are_decoded_again(animals, kept, name, damage, num_decoded, decoded):
    load(animals, kept)
    (path,) = kept.glob(f"*/{name}")
    path.write_bytes(damage(path.read_bytes()))
    del decoded[:]
    (animals / "dog" / "new.jpg").write_bytes(encoded(scene(100)))
    after = load(animals, kept)
    assert len(decoded) == num_decoded + 1
    assert_same(after, load(animals, None))
    del decoded[:]
    assert_same(after, load(animals, kept))
    assert decoded == []


def test_two_runs_at_once_decode_once(animals, kept, decoded):
    with ThreadPoolExecutor(2) as pool:
        assert_same(*pool.map(load, [animals] * 2, [kept] * 2))
    assert len(decoded) == 12
    assert pixels_file(kept).stat().st_size == NUM_BYTES


def test_a_decoding_that_is_killed_continues_where_it_stopped(
    animals, kept, decoded, tmp_path, monkeypatch
):
    """A copy of the cache in the middle of the decoding is what a kill leaves."""
    decode_in_order = vars(cache)["decode_in_order"]

    def copy_half_way(*args, **kwargs):
        for number, result in enumerate(decode_in_order(*args, **kwargs)):
            if number == 7:
                shutil.copytree(kept, tmp_path / "killed")
            yield result

    with monkeypatch.context() as run:
        run.setattr(cache, "SECONDS_PER_COMMIT", -1.0)
        run.setattr(cache, "decode_in_order", copy_half_way)
        whole = load(animals, kept)
    del decoded[:]
    assert_same(whole, load(animals, tmp_path / "killed"))
    assert len(decoded) == 12 - 7


def fail(error):
    def raise_it(*args, **kwargs):
        raise error

    return raise_it


def test_a_disk_that_fills_up_keeps_what_was_cached_before(animals, kept, decoded, monkeypatch):
    fsync, num_left = os.fsync, [6]

    def fill(descriptor):
        num_left[0] -= 1
        fsync(descriptor) if num_left[0] > 0 else fail(FULL)()

    with monkeypatch.context() as full:
        full.setattr(cache, "SECONDS_PER_COMMIT", -1.0)
        full.setattr(os, "fsync", fill)
        data = load(animals, kept)
    assert_same(data, load(animals, None))
    del decoded[:]
    assert_same(data, load(animals, kept))
    assert len(decoded) == 12 - 5  # five were kept before the disk was full


FULL = OSError(28, "No space left on device")
MISHAPS = {  # words of the warning: the function that fails, and its error
    "No space left": ("os.fsync", FULL),
    "no locks": ("filelock.FileLock.acquire", NotImplementedError("no locks here")),
    "No locks available": ("fcntl.flock", OSError(errno.ENOLCK, "No locks available")),
    "home": ("pwd.getpwuid", KeyError("no such user")),
    "exists": ("data.cache.Path.mkdir", FileExistsError(17, "File exists")),
}


@pytest.mark.parametrize("mishap", MISHAPS)
def test_a_cache_that_cannot_be_written_costs_speed_and_one_warning(
    animals, kept, monkeypatch, mishap
):
    before = load(animals, None)
    if mishap == "home":
        kept = ""
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("HOME")
    monkeypatch.setattr(MISHAPS[mishap][0], fail(MISHAPS[mishap][1]))
    after = load(animals, kept)
    assert_same(before, after)
    (warning,) = set(after.warnings) - set(before.warnings)
    assert re.search(f"cannot be cached .*{mishap}", warning) and "\n" not in warning


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache_is_read(animals, kept, decoded):
    load(animals, kept)
    pixels_file(kept).parent.chmod(0o500)
    load(animals, kept)
    assert len(decoded) == 12
