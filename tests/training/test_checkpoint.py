"""What a checkpoint brings back: generators of the device in use, momentum in its layout, ..."""

import pytest
import torch

from crossent.device import generator_states, prepare, set_generators
from crossent.errors import UserError
from crossent.tensor_file import read_tensors, write_tensors
from crossent.training.checkpoint import (
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from tests.training.parts import CPU, make_run, make_trainer


class FakeDevice:
    """The generators of several devices, in the place of torch.cuda or torch.mps."""

    def __init__(self):
        self.states = {}

    def get_rng_state(self, device=None):
        return self.states[device]

    def set_rng_state(self, state, device=None):
        self.states[device] = state


@pytest.mark.parametrize(("name", "key"), [("cuda:1", torch.device("cuda:1")), ("mps", None)])
def test_the_generator_of_the_device_in_use_is_saved(monkeypatch, name, key):
    fake, device = FakeDevice(), torch.device(name)
    monkeypatch.setattr(torch.get_device_module(device), "get_rng_state", fake.get_rng_state)
    monkeypatch.setattr(torch.get_device_module(device), "set_rng_state", fake.set_rng_state)
    fake.states[key] = torch.tensor([1, 2], dtype=torch.uint8)
    states = generator_states(device)
    assert states.keys() == {"cpu", device.type}
    fake.states[key] = torch.zeros(2, dtype=torch.uint8)
    set_generators(states, CPU)
    assert not fake.states[key].any(), "the device is not in use now"
    set_generators(states, device)
    assert fake.states[key].tolist() == [1, 2]


def test_a_run_on_the_cpu_leaves_the_gpu_alone(monkeypatch):
    def touched(*_):
        raise AssertionError("CUDA would be initialised")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", touched)
    monkeypatch.setattr(torch.cuda, "set_rng_state", touched)
    states = generator_states(CPU)
    set_generators(states, CPU)
    assert states.keys() == {"cpu"}


def test_momentum_comes_back_in_the_layout_of_its_weights(tmp_path):
    first, second = make_trainer(), make_trainer()
    for trainer in (first, second):
        prepare(trainer.model, CPU)
    first.train_step(next(first.batches.epoch(0)))
    save_checkpoint(
        tmp_path / "last", first.model, first.optimizer, {"cpu": torch.get_rng_state()[None]}, {},
        first.samples.tensors(),
    )  # fmt: skip
    tensors, _ = read_checkpoint(tmp_path / "last")
    load_checkpoint(
        tmp_path / "last", tensors, second.model, second.optimizer, second.samples.tensors()
    )
    num_last = 0
    for p, q in zip(first.model.parameters(), second.model.parameters(), strict=True):
        momentum = second.optimizer.state[q]["momentum_buffer"]
        assert torch.equal(momentum, first.optimizer.state[p]["momentum_buffer"])
        assert momentum.stride() == q.stride()
        num_last += q.ndim == 4 and not q.is_contiguous()
    assert num_last > 0


def test_a_checkpoint_without_the_losses_of_the_samples_is_refused(tmp_path):
    run = make_run(tmp_path / "run")
    run.start()
    tensors, header = read_tensors(run.folder.last)
    assert tensors.pop("samples.total").shape == (44,)
    write_tensors(run.folder.last, tensors, header)
    with pytest.raises(UserError, match=r"last\.safetensors .* no samples\.total"):
        make_run(tmp_path / "run").resume()
