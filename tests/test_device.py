"""A device that cannot be used is reported in one line, also with `auto`."""

import pytest
import torch

from crossent.device import choose_device, choose_precision
from crossent.errors import UserError


def test_a_gpu_without_kernels_is_refused_in_one_line(monkeypatch):
    """torch can see such a GPU and put tensors on it; the first kernel fails."""

    def fail(*args, **options):
        raise RuntimeError("CUDA error: no kernel image is available\nCompile with ...")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", fail)
    with pytest.raises(UserError, match=r"'cuda:0' cannot be used here \(CUDA error") as caught:
        choose_device("auto")
    assert "train.device=cpu" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_a_device_that_does_not_exist_is_refused(name):
    with pytest.raises(UserError, match=f"'{name}' cannot be used here"):
        choose_device(name)


@pytest.mark.parametrize(("fast", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_follows_the_hardware(monkeypatch, fast, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    assert choose_precision("auto", torch.device("cpu")) == expected
    assert choose_precision("bf16", torch.device("cpu")) == "bf16"
