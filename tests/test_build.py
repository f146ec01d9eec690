"""The model, the device and the precision that settings ask for; the installation."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import crossent
from crossent.build import make_model
from crossent.config import load_settings
from crossent.device import choose_device, choose_precision
from crossent.errors import UserError


@pytest.mark.parametrize("name", ["alexnet", "maxvit_t"])
def test_a_model_that_cannot_take_pictures_of_this_size_is_refused(name):
    words = [f"model.name=torchvision/{name}", "data.image_size=32"]
    expected = rf"torchvision/{name} .* data\.image_size=32 \("
    with pytest.raises(UserError, match=expected) as caught:
        make_model(load_settings(None, words).settings, 3)
    assert "\n" not in str(caught.value)


def test_an_installation_is_found_beside_a_folder_of_its_name(tmp_path):
    """In the folder above a checkout, sys.path first has the checkout, without an __init__.py."""
    (tmp_path / "crossent").symlink_to(Path(crossent.__file__).parents[1])
    command = [sys.executable, "-c", "import crossent; print(crossent.__all__)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == f"{crossent.__all__}\n", done.stderr


def test_a_device_that_cannot_be_used_is_refused_in_one_line(monkeypatch):
    """torch can see a GPU without kernels and put tensors on it; the first kernel fails."""

    def fail(*args, **options):
        raise RuntimeError("CUDA error: no kernel image is available\nCompile with ...")

    for name in ("cuda:99", "abacus"):
        with pytest.raises(UserError, match=f"'{name}' cannot be used here"):
            choose_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", fail)
    with pytest.raises(UserError, match=r"'cuda:0' cannot be used here \(CUDA error") as caught:
        choose_device("auto")
    assert "train.device=cpu" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("fast", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_follows_the_hardware(monkeypatch, fast, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    assert choose_precision("auto", torch.device("cpu")) == expected
    assert choose_precision("bf16", torch.device("cpu")) == "bf16"
