"""A run in this process: its log, last lines, lock and checkpoint."""

import errno
import math
import os

import pytest
import torch

from crossent.device import generator_states, prepare, set_generators
from crossent.training.checkpoint import load_checkpoint, save_checkpoint
from crossent.training.console import HEADINGS, Console
from crossent.training.run_folder import RunFolder
from tests.training.parts import CPU, make_run, make_trainer


def test_a_table_keeps_its_columns_where_E_explodes(capsys):
    console = Console()
    console.line(HEADINGS)
    for E in (1.0986, 999.5, 1e30):
        split = {"E": E, "accuracy": 0.5}
        console.epoch({"epoch": 1, "train": split, "val": split, "images_per_s": 9.0}, 20, 5.0)
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "1.00e+30" in lines[-1]


@pytest.mark.parametrize(
    ("E_train", "advice"),
    [(5.0, "try optim.lr=0.005 (it was 0.05)"), (0.1, "overfits (E = 0.1000 in training): try")],
)
def test_a_run_that_ends_above_ln_K_says_so(tmp_path, E_train, advice):
    run = make_run(tmp_path / "run")
    run.start()
    run.folder.append({"kind": "epoch", "train": {"E": E_train}, "val": {"E": 1e30}})
    run.folder.append({"kind": "end"})
    text = run.what_next()
    assert text.startswith("E on validation ended at 1.00e+30, above ln 3 = 1.0986")
    assert advice in text


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_warning(tmp_path, monkeypatch, capsys, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with RunFolder(tmp_path / "run").in_use():
        pass
    err = capsys.readouterr().err
    assert f"warning: {tmp_path / 'run'} cannot be locked" in err and err.count("\n") == 1


def test_metrics_are_whole_lines_of_json_without_nan(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        folder.append({"E": math.nan})
    folder.append({"E": 1.0})
    with folder.metrics.open("a") as file:
        file.write('{"kind": "epo')  # torn by a kill
    assert folder.records() == [{"E": 1.0}]
    folder.keep_records(1)
    assert folder.metrics.read_text() == '{"E": 1.0}\n'


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
