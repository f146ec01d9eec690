"""What is decoded is kept: correct when files change, whole when runs are killed or collide."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data import cache, decode_pool
from data.cache import default_cache_dir
from data.folder import load_folder
from tests.data.pictures import encoded, make_folder, same, scene

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def animals(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SETTLED_NS", 0)  # the test's files are younger than two seconds
    return make_folder(tmp_path / "animals", {"dog": 6, "fox": 6})


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def decoded(monkeypatch):
    """The names of the files that are decoded; here, as test_decode_pool tests the processes."""
    names: list[str] = []

    def listen(jobs):
        for job in jobs:
            names.append(Path(job.path).name)
            yield decode_pool._inspect(job)

    monkeypatch.setattr(cache, "decode_in_order", listen)
    return names


def load(animals, kept, **changes):
    arguments = {"image_size": 16, "train_size": 20, "val_fraction": 0.25, "seed": 0}
    return load_folder(animals, **{**arguments, "cache_dir": kept, **changes})


def pixels_file(kept):
    (path,) = kept.glob("*/pixels-*")
    return path


def test_the_second_start_decodes_nothing_and_reads_a_mapped_file(animals, kept, decoded):
    (animals / "dog" / "page.jpg").write_bytes(b"<html>")  # what is unusable is remembered, too
    cold = load(animals, kept)
    assert len(decoded) == 13
    warm = load(animals, kept)
    assert len(decoded) == 13
    assert warm.unusable == cold.unusable
    same(cold, warm)
    same(cold, load(animals, kept, use_cache=False))
    assert isinstance(warm.train.images.array, np.memmap)
    assert not warm.train.images.array.flags.writeable


def test_folds_and_seeds_share_one_cache(animals, kept, decoded):
    for changes in (
        {},
        {"seed": 1},
        {"val_fraction": 0.5},
        *({"num_folds": 3, "fold": k} for k in (1, 2, 3)),
    ):
        data = load(animals, kept, **changes)
        assert len(decoded) == 12
        same(data, load(animals, kept, use_cache=False, **changes))
        del decoded[12:]
    row_bytes = 3 * (16 * 16 + 20 * 20)  # both sizes of every picture
    assert pixels_file(kept).stat().st_size == 12 * row_bytes


def test_one_new_one_touched_and_one_renamed_picture_decode_three(animals, kept, decoded):
    load(animals, kept)
    del decoded[:]
    (animals / "dog" / "new.jpg").write_bytes(encoded(scene(100)))
    os.utime(animals / "dog" / "001.jpg", (1, 1))
    (animals / "fox" / "002.jpg").rename(animals / "fox" / "renamed.jpg")
    data = load(animals, kept)
    assert sorted(decoded) == ["001.jpg", "new.jpg", "renamed.jpg"]
    same(data, load(animals, kept, use_cache=False))
    assert "fox/renamed.jpg" in {*data.train.names, *data.val.names}


def test_a_changed_file_is_decoded_anew(animals, kept):
    before = load(animals, kept)
    (animals / "dog" / "000.jpg").write_bytes(encoded(scene(100)))
    after = load(animals, kept)
    assert before.fingerprint != after.fingerprint
    same(after, load(animals, kept, use_cache=False))


def test_a_file_younger_than_two_seconds_is_not_taken_for_settled(
    animals, kept, decoded, monkeypatch
):
    monkeypatch.setattr(cache, "SETTLED_NS", 2_000_000_000)
    load(animals, kept)
    load(animals, kept)
    assert len(decoded) == 24


def test_a_cache_that_does_not_fit_any_more_is_replaced(animals, kept, decoded, monkeypatch):
    first = load(animals, kept)
    before = np.array(first.train.images)
    for path in animals.rglob("*.jpg"):
        os.utime(path, (1, 1))
    load(animals, kept)
    monkeypatch.setattr(cache, "DECODER", "crossent-next")
    load(animals, kept)
    assert len(decoded) == 36
    assert pixels_file(kept).stat().st_size == 12 * 3 * (16 * 16 + 20 * 20)  # nothing piled up
    np.testing.assert_array_equal(first.train.images, before)  # still mapped


def cut_the_pixels(folder):
    with open(next(folder.glob("pixels-*")), "r+b") as file:
        file.truncate(100)


def lose_the_pixels(folder):
    next(folder.glob("pixels-*")).unlink()


def empty_the_index(folder):
    (folder / "index.jsonl").write_bytes(b"")


def fill_the_index_with_rubbish(folder):
    (folder / "index.jsonl").write_bytes(os.urandom(1000))


def cut_a_line(folder):
    content = (folder / "index.jsonl").read_bytes()
    (folder / "index.jsonl").write_bytes(content[:-30])


def leave_half_a_row(folder):
    with open(next(folder.glob("pixels-*")), "ab") as file:
        file.write(b"half")


DAMAGES = [
    (cut_the_pixels, 12),
    (lose_the_pixels, 12),
    (empty_the_index, 12),
    (fill_the_index_with_rubbish, 12),
    (cut_a_line, 1),
    (leave_half_a_row, 0),
]


@pytest.mark.parametrize(("damage", "num_decoded"), DAMAGES)
def test_what_is_damaged_is_decoded_anew(animals, kept, damage, num_decoded, decoded):
    load(animals, kept)
    damage(pixels_file(kept).parent)
    del decoded[:]
    (animals / "dog" / "new.jpg").write_bytes(encoded(scene(100)))
    after = load(animals, kept)
    assert len(decoded) == num_decoded + 1
    same(after, load(animals, kept, use_cache=False))
    del decoded[:]
    same(after, load(animals, kept))
    assert decoded == []


LOAD = """
import sys
import data.cache
from data.folder import load_folder
data.cache.SECONDS_PER_COMMIT = 0
print(load_folder(sys.argv[1], 16, 0.25, 0, train_size=20, cache_dir=sys.argv[2]).fingerprint)
"""


def start_loading(animals, kept):
    return subprocess.Popen(
        [sys.executable, "-c", LOAD, str(animals), str(kept)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_pixels(kept):
    deadline = time.monotonic() + 30
    while sum(path.stat().st_size for path in kept.glob("*/pixels-*")) < 20_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_two_runs_at_once_decode_once(animals, kept):
    """As do the processes of a second machine that has a disk of its own."""
    time.sleep(2)  # so that the files are settled
    runs = [start_loading(animals, kept) for _ in range(2)]
    outputs = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert {out.strip() for out, _ in outputs} == {load(animals, kept).fingerprint}
    assert pixels_file(kept).stat().st_size == 12 * 3 * (16 * 16 + 20 * 20)


@pytest.mark.slow
def test_a_killed_decoding_goes_on_where_it_was(tmp_path, kept, decoded, monkeypatch):
    monkeypatch.setattr(cache, "SETTLED_NS", 0)
    many = make_folder(tmp_path / "many", {"dog": 400, "fox": 400})
    for path in many.rglob("*.jpg"):
        os.utime(path, (1, 1))
    run = start_loading(many, kept)
    wait_for_pixels(kept)
    run.kill()
    run.communicate()
    same(load(many, kept), load(many, kept, use_cache=False))
    assert len(decoded) < 800 + 800


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once_and_loses_nothing(tmp_path, kept, decoded):
    many = make_folder(tmp_path / "many", {"dog": 400, "fox": 400})
    time.sleep(2)
    run = start_loading(many, kept)
    wait_for_pixels(kept)
    run.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = run.communicate(timeout=20)
    assert run.returncode != 0
    assert stderr.count("Traceback") <= 1  # the workers say nothing
    assert time.monotonic() - started < 5
    load(many, kept)
    assert len(decoded) < 800


def full_disk(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_a_full_disk_costs_speed_and_one_warning(animals, kept, monkeypatch):
    before = load(animals, kept, use_cache=False)
    monkeypatch.setattr(os, "fsync", full_disk)
    after = load(animals, kept)
    same(before, after)
    (warning,) = set(after.warnings) - set(before.warnings)
    assert str(kept) in warning
    assert "No space left" in warning
    assert "\n" not in warning


@pytest.mark.parametrize("name", ["a file", "no home", "no locks"])
def test_a_cache_that_cannot_be_written_costs_one_warning(animals, kept, monkeypatch, name):
    before = load(animals, kept, use_cache=False)
    if name == "a file":
        kept.write_text("x")
    if name == "no home":
        monkeypatch.setattr(Path, "home", lambda: Path("~").expanduser())
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("pwd.getpwuid", full_disk_key)
    if name == "no locks":
        monkeypatch.setattr("filelock.FileLock.acquire", full_disk)
    after = load(animals, None if name == "no home" else kept)
    same(before, after)
    (warning,) = set(after.warnings) - set(before.warnings)
    assert "cannot be kept" in warning


def full_disk_key(*args):
    raise KeyError("no such user")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache_is_read(animals, kept, decoded):
    load(animals, kept)
    pixels_file(kept).parent.chmod(0o500)
    load(animals, kept)
    assert len(decoded) == 12


def test_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "crossent"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "crossent"


def test_the_index_says_whose_it_is(animals, kept):
    load(animals, kept)
    header = json.loads((pixels_file(kept).parent / "index.jsonl").read_text().splitlines()[0])
    assert header["root"] == str(animals)
