import random
import struct

import pytest
import torch

from crossent.errors import UserError
from crossent.model_file import read_tensors, write_tensors

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
    for content in (
        b"",
        b"<html>not found</html>",
        b"\x80\x04\x95.",  # the beginning of a pickle
        struct.pack("<Q", 2**63) + b"{}",  # a huge header
        struct.pack("<Q", 2) + b"{}",  # no checksums
    ):
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
