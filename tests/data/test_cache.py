"""What is decoded is kept: correct when files change, whole when runs are killed or collide."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data import cache, cache_command, pictures, seen
from data.cache import DamagedCache, list_entries, open_entry, remove_entry
from data.files import default_cache_dir, replace_file
from data.folder import load_folder
from data.workers import inspect_files
from tests.data.pictures import encoded, make_folder, scene

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def animals(tmp_path, monkeypatch):
    monkeypatch.setattr(seen, "SETTLED_NS", 0)  # the test's files are younger than two seconds
    return make_folder(tmp_path / "animals", {"dog": 6, "fox": 6})


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "cache"


def load(animals, kept, **changes):
    arguments = {"image_size": 16, "val_fraction": 0.25, "seed": 0, "cache_dir": kept}
    return load_folder(animals, **{**arguments, **changes})


def entries_of(kept):
    return sorted(path.name for path in kept.iterdir() if path.name != "seen")


def count_reads(monkeypatch):
    counts = []

    def counting(jobs, *args, **kwargs):
        counts.append(len(jobs))
        return inspect_files(jobs, *args, **kwargs)

    monkeypatch.setattr(pictures, "inspect_files", counting)
    return counts


def same(one, other):
    assert one.fingerprint == other.fingerprint
    assert one.train.names == other.train.names
    np.testing.assert_array_equal(one.train.images, other.train.images)
    np.testing.assert_array_equal(one.val.images, other.val.images)


def test_the_second_start_opens_no_picture(animals, kept, monkeypatch):
    cold = load(animals, kept)
    counts = count_reads(monkeypatch)
    warm = load(animals, kept)
    assert sum(counts) == 0
    same(cold, warm)
    same(cold, load(animals, kept, use_cache=False))
    assert isinstance(warm.train.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        warm.train.images[0] = 0


def test_unusable_files_are_remembered_too(animals, kept, monkeypatch):
    (animals / "dog" / "page.jpg").write_bytes(b"<html>")
    cold = load(animals, kept)
    counts = count_reads(monkeypatch)
    assert load(animals, kept).unusable == cold.unusable
    assert cold.unusable[0].path == "dog/page.jpg"
    assert sum(counts) == 0


def test_renaming_needs_no_second_entry(animals, kept):
    load(animals, kept)
    (animals / "dog" / "000.jpg").rename(animals / "dog" / "zzz.jpg")
    data = load(animals, kept)
    assert len(entries_of(kept)) == 1
    assert "dog/zzz.jpg" in {*data.train.names, *data.val.names}


def test_a_touched_file_is_read_alone(animals, kept, monkeypatch):
    load(animals, kept)
    os.utime(animals / "dog" / "000.jpg", (1, 1))
    counts = count_reads(monkeypatch)
    load(animals, kept)
    assert sum(counts) == 1
    assert len(entries_of(kept)) == 1


def test_a_changed_file_is_seen_though_size_and_mtime_are_the_same(animals, kept):
    path = animals / "dog" / "000.jpg"
    content = encoded(scene(100))
    before = load(animals, kept)
    status = path.stat()
    changed = content + bytes(max(0, status.st_size - len(content)))
    path.write_bytes(changed[: max(status.st_size, len(content))])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = load(animals, kept)
    assert before.fingerprint != after.fingerprint
    same(after, load(animals, kept, use_cache=False))


def test_a_file_younger_than_two_seconds_is_not_taken_for_settled(animals, kept, monkeypatch):
    monkeypatch.setattr(seen, "SETTLED_NS", 2_000_000_000)
    load(animals, kept)
    counts = count_reads(monkeypatch)
    load(animals, kept)
    assert sum(counts) == 12


@pytest.mark.parametrize(
    "change",
    [{"image_size": 20}, {"train_size": 24}, {"seed": 1}, {"val_fraction": 0.5}],
    ids=lambda change: next(iter(change)),
)
def test_other_parameters_are_another_entry(animals, kept, change):
    load(animals, kept)
    same(load(animals, kept, **change), load(animals, kept, use_cache=False, **change))
    assert len(entries_of(kept)) == 2


def test_where_nothing_is_drawn_the_seed_makes_no_other_entry(tmp_path, kept):
    make_folder(tmp_path / "train", {"dog": 3, "fox": 3})
    make_folder(tmp_path / "val", {"dog": 2, "fox": 2}, first_seed=10)
    same(load(tmp_path, kept), load(tmp_path, kept, seed=1, val_fraction=0.5))
    assert len(entries_of(kept)) == 1


def test_another_decoder_is_another_entry(animals, kept, monkeypatch):
    load(animals, kept)
    monkeypatch.setattr(pictures, "DECODER", "crossent-next")
    load(animals, kept)
    assert len(entries_of(kept)) == 2


def damage_a_pixel(entry):
    with open(entry / "train.npy", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))


def cut_the_end(entry):
    with open(entry / "val.npy", "r+b") as file:
        file.truncate(100)


def lose_a_file(entry):
    (entry / "rows.json").unlink()


def swap_labels(entry):
    rows = json.loads((entry / "rows.json").read_bytes())
    rows["train"]["labels"].reverse()
    (entry / "rows.json").write_text(json.dumps(rows))


def empty_the_marker(entry):
    (entry / "entry.json").write_bytes(b"")


DAMAGES = [damage_a_pixel, cut_the_end, lose_a_file, swap_labels, empty_the_marker]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_named_and_made_anew(animals, kept, damage):
    load(animals, kept)
    before = load(animals, kept, use_cache=False)
    (name,) = entries_of(kept)
    damage(kept / name)
    with pytest.raises(DamagedCache, match=name):
        open_entry(kept, name)
    after = load(animals, kept)
    assert "cache was damaged" in after.warnings[0]
    assert name in after.warnings[0]
    same(before, after)
    assert "damaged" not in " ".join(load(animals, kept).warnings)


def test_a_damaged_memory_of_files_is_no_memory(animals, kept, monkeypatch):
    before = load(animals, kept)
    (memory,) = (kept / "seen").iterdir()
    memory.write_bytes(memory.read_bytes()[:-10])
    counts = count_reads(monkeypatch)
    same(before, load(animals, kept))
    assert sum(counts) == 12


LOAD = """
import sys
from data.folder import load_folder
from data.workers import inspect_files
data = load_folder(sys.argv[1], 16, 0.25, 0, cache_dir=sys.argv[2])
print(data.fingerprint)
"""


def start_loading(animals, kept):
    return subprocess.Popen(
        [sys.executable, "-c", LOAD, str(animals), str(kept)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_runs_at_once(animals, kept):
    runs = [start_loading(animals, kept) for _ in range(2)]
    outputs = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert {out.strip() for out, _ in outputs} == {load(animals, kept).fingerprint}
    assert len(entries_of(kept)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.1, 0.4, 0.6, 0.8])
def test_a_kill_in_the_middle(tmp_path, kept, delay_s):
    animals = make_folder(tmp_path / "many", {"dog": 60, "fox": 60})
    run = start_loading(animals, kept)
    time.sleep(delay_s)
    run.kill()
    run.communicate()
    same(load(animals, kept), load(animals, kept, use_cache=False))


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once(tmp_path, kept):
    animals = make_folder(tmp_path / "many", {"dog": 400, "fox": 400})
    run = start_loading(animals, kept)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    while not children.read_text() and run.poll() is None:  # until it has started to decode
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = run.communicate(timeout=20)
    assert run.returncode != 0
    assert stderr.count("Traceback") <= 1  # the workers say nothing
    assert time.monotonic() - started < 5


def full_disk(*args):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("where", ["spool", "entry"])
def test_a_full_disk_is_one_clear_line(animals, kept, monkeypatch, where):
    monkeypatch.setattr(cache, "_write_all" if where == "spool" else "_write_images", full_disk)
    with pytest.raises(ValueError, match=r"cannot write .*No space left.*data\.cache_dir"):
        load(animals, kept)
    assert entries_of(kept) == []


def test_a_cache_dir_that_is_a_file(animals, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"file: cannot write the cache"):
        load(animals, tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache(animals, kept):
    before = load(animals, kept)
    kept.chmod(0o500)
    same(before, load(animals, kept))
    with pytest.raises(ValueError, match="Permission denied"):
        load(animals, kept, seed=1)
    kept.chmod(0o700)


def test_listing_and_removing(animals, kept):
    load(animals, kept)
    used_later = load(animals, kept, seed=1)
    first, second = list_entries(kept)
    assert first.root == str(animals)
    assert first.num_bytes > 12 * 16 * 16 * 3
    assert first.last_used <= second.last_used
    remove_entry(first.path)
    assert [info.path for info in list_entries(kept)] == [second.path]
    remove_entry(second.path)
    assert used_later.train.images.sum() > 0  # still mapped


def command(kept, *arguments):
    parser = argparse.ArgumentParser()
    cache_command.add_arguments(parser)
    return cache_command.run(parser.parse_args(["--dir", str(kept), *arguments]))


def test_the_command(animals, kept, capsys):
    for seed in range(3):
        load(animals, kept, seed=seed)
    assert command(kept) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"{kept}: 3 data sets")
    assert all(line.endswith(str(animals)) for line in lines[:3])
    first, *_ = list_entries(kept)
    command(kept, "--remove", first.path.name[:12])
    assert first.path not in {info.path for info in list_entries(kept)}
    second, third = list_entries(kept)
    (second.path / "entry.json").write_bytes(b"")
    os.utime(second.path / "entry.json", (1, 1))
    assert "(damaged)" in {info.root for info in list_entries(kept)}
    command(kept, "--remove-older-than", "30")
    assert [info.path for info in list_entries(kept)] == [third.path]
    with pytest.raises(ValueError, match="--remove zz: 0 entries"):
        command(kept, "--remove", "zz")
    command(kept, "--remove-all")
    assert list_entries(kept) == []
    command(kept / "none")
    assert capsys.readouterr().out.endswith("none: 0 data sets, 0.0 MB\n")


def test_what_killed_runs_left_is_swept(animals, kept):
    old = kept / ".building-old"
    new = kept / ".building-new"
    for path in (old, new):
        path.mkdir(parents=True)
    os.utime(old, (1, 1))
    load(animals, kept)
    assert not old.exists()
    assert new.exists()


def test_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "crossent"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "crossent"


def test_replacing_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    replace_file(path, b"old")
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_moved_folder_finds_its_entry_by_content(animals, kept, tmp_path):
    before = load(animals, kept)
    shutil.copytree(animals, tmp_path / "copy")
    same(before, load(tmp_path / "copy", kept))
    assert len(entries_of(kept)) == 1
