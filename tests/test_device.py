"""A GPU that the installed torch has no kernels for, told by two calls, which are replaced here."""

import pytest
import torch

from crossent.device import check_kernels, choose_device, runs_on
from crossent.errors import UserError


@pytest.fixture
def gpu(monkeypatch):
    """Let torch say that it has a GPU of this capability, and kernels for those architectures."""

    def pretend(capability, architectures):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: architectures)
        return torch.device("cuda:0")

    return pretend


@pytest.mark.parametrize(
    ("architecture", "capability", "runs"),
    [
        ("sm_86", (8, 6), True),
        ("sm_80", (8, 6), True),  # a later minor version
        ("sm_86", (8, 0), False),  # an earlier one
        ("sm_80", (9, 0), False),  # machine code of another major version
        ("compute_80", (9, 0), True),  # translated for it
        ("compute_80", (12, 0), True),
        ("compute_90", (8, 9), False),  # not backwards
        ("sm_90a", (9, 0), True),
        ("sm_90a", (9, 1), False),
        ("compute_90a", (10, 0), False),
        ("sm_100f", (10, 3), True),
        ("compute_100f", (12, 0), False),
        ("sm_120", (12, 1), True),
        ("gfx90a", (9, 0), True),
        ("nonsense", (9, 0), False),
    ],
)
def test_which_kernels_run_on_which_gpu(architecture, capability, runs):
    assert runs_on(architecture, capability) is runs


def test_a_gpu_without_kernels_is_refused_in_one_line(gpu):
    device = gpu((12, 0), ["sm_50", "sm_80", "sm_90"])
    with pytest.raises(UserError) as caught:
        check_kernels(device)
    text = str(caught.value)
    assert "compute capability 12.0" in text and "only sm_50 sm_80 sm_90" in text
    assert "install a torch built for it" in text and "train.device=cpu" in text
    assert "\n" not in text


def test_auto_does_not_fall_silently_back_on_the_cpu(gpu, monkeypatch):
    gpu((12, 0), ["sm_80"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(UserError, match=r"compute capability 12\.0"):
        choose_device("auto")
    assert choose_device("cpu") == torch.device("cpu")


def test_a_gpu_with_kernels_passes(gpu):
    check_kernels(gpu((8, 9), ["sm_80", "sm_90"]))
    check_kernels(gpu((12, 0), ["sm_80", "compute_90"]))
