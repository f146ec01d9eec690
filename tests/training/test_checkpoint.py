"""A checkpoint restores the generators of the device in use, and momentum in its layout."""

import pytest
import torch

from crossent.device import generator_states, prepare, set_generators
from crossent.training.checkpoint import load_checkpoint, save_checkpoint
from tests.training.parts import CPU, make_trainer


@pytest.mark.parametrize("name", ["cuda:1", "mps"])
def test_the_generator_of_the_device_in_use_is_saved(monkeypatch, name):
    device = torch.device(name)
    states: dict[torch.device | None, torch.Tensor] = {}
    key = device if device.type == "cuda" else None  # torch.mps has one device only
    module = torch.get_device_module(device)
    monkeypatch.setattr(module, "get_rng_state", lambda device=None: states[device])
    monkeypatch.setattr(module, "set_rng_state", lambda s, device=None: states.update({device: s}))
    states[key] = torch.tensor([1, 2], dtype=torch.uint8)
    saved = generator_states(device)
    assert saved.keys() == {"cpu", device.type}
    states[key] = torch.zeros(2, dtype=torch.uint8)
    set_generators(saved, CPU)
    assert not states[key].any(), "the device is not in use now"
    set_generators(saved, device)
    assert states[key].tolist() == [1, 2]


def test_a_run_on_the_cpu_leaves_the_gpu_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("get_rng_state", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: pytest.fail("initialises CUDA"))
    states = generator_states(CPU)
    set_generators(states, CPU)
    assert states.keys() == {"cpu"}


def test_momentum_comes_back_in_the_layout_of_its_weights(tmp_path):
    first, second = make_trainer(), make_trainer()
    for trainer in (first, second):
        prepare(trainer.model, CPU)
    first.train_step(next(first.batches.epoch(0)))
    header = {"class_names": ["dog", "fox"], "data_fingerprint": "0"}
    save_checkpoint(tmp_path / "last", first, header)
    assert load_checkpoint(tmp_path / "last", second, header)["class_names"] == ["dog", "fox"]
    num_last = 0
    for p, q in zip(first.model.parameters(), second.model.parameters(), strict=True):
        momentum = second.optimizer.state[q]["momentum_buffer"]
        assert torch.equal(momentum, first.optimizer.state[p]["momentum_buffer"])
        assert momentum.stride() == q.stride()
        num_last += q.ndim == 4 and not q.is_contiguous()
    assert num_last > 0
