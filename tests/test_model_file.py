"""Files: written whole or not at all; a damaged one is refused by name."""

import os
import random
import stat
import struct

import pytest
import torch

from crossent.errors import UserError
from crossent.files import write_atomic, write_text
from crossent.model_file import read_tensors, write_tensors


def test_new_content_replaces_the_old_and_a_failure_leaves_no_trace(tmp_path):
    path = tmp_path / "file.txt"
    before = os.umask(0o027)
    try:
        write_text(path, "old")
        write_text(path, "新しい")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640, "the permissions follow the umask"

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, fail)
    assert path.read_text(encoding="utf-8") == "新しい"
    assert os.listdir(tmp_path) == ["file.txt"]


TENSORS = {
    "weight": torch.arange(6.0).view(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "scalar": torch.tensor(7),
    "empty": torch.zeros(0, 4),
    "flags": torch.tensor([True, False]),
}
HEADER = {"kind": "test", "class_names": ["dog", "きつね"], "metrics": {"E": 0.1 + 0.2}}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tensors.safetensors"
    write_tensors(path, TENSORS, HEADER)
    return path


def test_round_trip_is_exact(path):
    tensors, header = read_tensors(path)
    assert tensors.keys() == TENSORS.keys()
    for name, expected in TENSORS.items():
        assert tensors[name].dtype == expected.dtype
        assert torch.equal(tensors[name], expected)
    assert {key: header[key] for key in HEADER} == HEADER


def test_any_flipped_bit_or_lost_end_is_refused(path):
    content, rng = path.read_bytes(), random.Random(0)
    for bit in rng.sample(range(8 * len(content)), 200):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"tensors\.safetensors"):
            read_tensors(path)
    for kept in (1, 8, 100, -1):
        path.write_bytes(content[:kept])
        with pytest.raises(UserError, match="damaged"):
            read_tensors(path)


def test_other_files_and_missing_ones_are_refused_by_name(path):
    pickled, huge_header, no_checksums = b"\x80\x04\x95.", 2**63, 2
    headers = [struct.pack("<Q", size) + b"{}" for size in (huge_header, no_checksums)]
    for content in (b"", b"<html>not found</html>", pickled, *headers):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"tensors\.safetensors"):
            read_tensors(path)
    path.unlink()
    with pytest.raises(UserError, match=r"tensors\.safetensors: no such file"):
        read_tensors(path)


def test_a_newer_format_is_refused_by_its_number(path):
    write_tensors(path, TENSORS, {**HEADER, "format_version": 99})
    with pytest.raises(UserError, match="format version 99; this program reads 1"):
        read_tensors(path)
