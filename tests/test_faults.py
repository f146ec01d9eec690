"""Faults of a disk and damaged files: one line with the path; nothing is loaded or overwritten."""

import math

import pytest
import torch

from crossent.errors import UserError, run_main
from crossent.model_file import read_tensors, write_tensors
from tests.forked import SMOKE, Command, Mishap


def test_a_folder_that_is_removed_or_cannot_be_made_is_named(tmp_path, mistake):
    run = tmp_path / "run"
    mishap = Mishap("folder removed", "after a step")
    _, err = Command(tmp_path, *SMOKE, "--out", run, mishap=mishap).end(2)
    assert f"error: {run / 'metrics.jsonl'}: No such file" in err and err.count("\n") == 1
    run.touch()
    err = mistake(*SMOKE, "--out", run / "below")
    assert f"{run / 'below'}: Not a directory" in err


HEAD, MOMENTUM = "model.head.weight", "optimizer.momentum_buffer.head.weight"
CHECKPOINT, MODEL = "last.safetensors", "model.safetensors"
NAN, INF = torch.full((3, 64), math.nan), torch.full((3, 64), math.inf)
DAMAGES = [
    (CHECKPOINT, {"kind": "other"}, "is not a checkpoint but a file of kind 'other'"),
    (CHECKPOINT, {HEAD: None}, "another model: head.weight is missing in the file"),
    (CHECKPOINT, {"model.head.bias": torch.ones(7)}, "head.bias is (7,) in the file and (3,) in"),
    (CHECKPOINT, {HEAD: NAN}, f"{HEAD} contains numbers that are not finite"),
    (CHECKPOINT, {MOMENTUM: INF}, f"{MOMENTUM} contains numbers that are not finite"),
    (CHECKPOINT, {"class_names": ["no", "yes"]}, "other classes (['no', 'yes'], now"),
    (CHECKPOINT, {"data_fingerprint": "0" * 64}, "other pictures (000000000000, now"),
    (MODEL, {"kind": "checkpoint"}, "is not a model but a file of kind 'checkpoint'"),
    (MODEL, {"head.weight": NAN}, "head.weight contains numbers that are not finite"),
    (MODEL, {"class_names": ["no", "yes"]}, "head.weight is (3, 64) in the file and (2, 64)"),
]


@pytest.mark.parametrize(("file", "change", "reason"), DAMAGES)
def test_a_damaged_file_is_refused_by_name(copy, mistake, file, change, reason):
    """Change tensors or entries of the header, and the checksums with them."""
    path = copy.path / file
    tensors, header = read_tensors(path)
    for name, value in change.items():
        (tensors if name in tensors else header)[name] = value
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    write_tensors(path, tensors, {k: v for k, v in header.items() if "sha256" not in k})
    before = path.read_bytes()
    words = ["crossent", "evaluate"] if file == MODEL else ["train.epochs=3", "--resume"]
    err = mistake(*words, copy.path)
    assert str(path) in err and reason in err
    assert path.read_bytes() == before


def test_lines_of_the_log_that_are_missing_are_noticed(copy, mistake):
    copy.metrics.write_text("")
    err = mistake("train.epochs=3", "--resume", copy.path)
    assert f"{copy.metrics} has 0 complete lines" in err


def test_only_mistakes_of_the_user_come_without_a_traceback(capsys):
    def fail(error):
        raise error

    for mistake in (UserError("mend it"), OSError(28, "No space left", "run/a")):
        assert run_main(fail, mistake) == 2
    assert capsys.readouterr().err == "error: mend it\nerror: run/a: No space left\n"
    for error in (OSError("torch cannot map memory"), ValueError("operands of NumPy")):
        with pytest.raises(type(error)):
            run_main(fail, error)
