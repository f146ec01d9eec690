"""What can go wrong on a disk: one line with the path, the old checkpoint intact, no status 0."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
import torch

from crossent.cli import run_main
from crossent.errors import UserError
from crossent.tensor_file import read_tensors, write_tensors
from crossent.training.run_folder import RunFolder
from crossent.verify_resume import first_difference
from tests.forked import Command, Mishap

SMOKE = ("-c", "configs/smoke.yaml", "train.threads=1", "train.checkpoint_every=1 steps")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that ended well, to compare with; and the same stopped after its second step."""
    folder = tmp_path_factory.mktemp("finished")
    Command(folder, *SMOKE, "--out", folder / "run").end(status=0)
    mishap = Mishap("SIGTERM", "after a step")
    Command(folder, *SMOKE, "--out", folder / "stopped", mishap=mishap).end(143)
    return RunFolder(folder / "run")


@pytest.fixture
def stopped(finished, tmp_path):
    """A copy of the stopped run, to be damaged."""
    path = tmp_path / "run"
    shutil.copytree(finished.path.parent / "stopped", path)
    return RunFolder(path)


def the_line(err):
    assert err.count("\n") == 1 and err.startswith("error: "), err
    return err


def test_a_full_disk_leaves_the_old_checkpoint(finished, tmp_path):
    run = RunFolder(tmp_path / "run")
    mishap = Mishap("disk full", "after a step", step=3)
    _, err = Command(tmp_path, *SMOKE, "--out", run.path, mishap=mishap).end(2)
    # the checkpoint after step 3 begins with the best model, that of the first epoch
    assert f"{run.model}: cannot be written: File too large" in the_line(err)
    progress = read_tensors(run.last)[1]["progress"]
    assert (progress["epoch"], progress["batch"]) in [(0, 2), (1, 0)]
    assert not list(run.path.glob(".*.tmp"))
    Command(tmp_path, "--resume", run.path).end(status=0)
    assert first_difference(finished, run) is None


def test_a_folder_that_is_removed_is_named(tmp_path):
    mishap = Mishap("folder removed", "after a step")
    _, err = Command(tmp_path, *SMOKE, "--out", tmp_path / "run", mishap=mishap).end(2)
    assert f"{tmp_path / 'run' / 'last.safetensors'}: cannot be written: No such file" in (
        the_line(err)
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    _, err = Command(tmp_path, *SMOKE, "--out", tmp_path / "file" / "run").end(2)
    assert f"{tmp_path / 'file' / 'run'} cannot be made: Not a directory" in the_line(err)


def test_a_read_only_folder_is_named(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    try:  # root may write where the permissions say no; into an immutable folder it may not
        subprocess.run(["chattr", "+i", path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        path.chmod(0o555)
    try:
        if os.access(path, os.W_OK):
            pytest.skip("no way here to make a folder read-only for this user")
        _, err = Command(tmp_path, *SMOKE, "--out", path).end(2)
    finally:
        subprocess.run(["chattr", "-i", path], check=False, capture_output=True)
        path.chmod(0o755)
    assert str(path) in the_line(err)


def rewrite(path, change):
    """Change tensors or header of a file of ours, its checksums being right again."""
    tensors, header = read_tensors(path)
    change(tensors, header)
    header = {k: v for k, v in header.items() if not k.startswith("sha256")}
    write_tensors(path, tensors, header)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1000] ^= 4
    path.write_bytes(content)


def drop_weight(tensors, header):
    del tensors["model.head.weight"]


def widen_weight(tensors, header):
    tensors["model.head.bias"] = torch.zeros(7)


def spoil_weight(tensors, header):
    tensors["model.head.weight"][0, 0] = float("nan")


def spoil_momentum(tensors, header):
    tensors["optimizer.momentum_buffer.head.weight"][0, 0] = float("inf")


def rename_class(tensors, header):
    header["class_names"] = ["dog", "no", "wolf"]


def swap_pictures(tensors, header):
    header["data_fingerprint"] = "0" * 64


DAMAGES = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:-5]), "is damaged"),
    "empty": (lambda p: p.write_bytes(b""), "is damaged or no safetensors file"),
    "one bit": (flip_a_bit, "tensors do not match their checksum"),
    "html": (lambda p: p.write_text("<html>404</html>"), "is damaged or no safetensors file"),
    "pickle": (lambda p: torch.save({"a": 1}, p), "is damaged or no safetensors file"),
    "nothing of ours": (
        lambda p: rewrite(p, lambda tensors, header: header.update(kind="other")),
        "is no checkpoint but a file of kind 'other'",
    ),
    "lacks a weight": (lambda p: rewrite(p, drop_weight), "another model: it lacks head.weight"),
    "another shape": (lambda p: rewrite(p, widen_weight), "head.bias is (7,) there and (3,) here"),
    "NaN weight": (lambda p: rewrite(p, spoil_weight), "model.head.weight holds numbers that are"),
    "infinite momentum": (
        lambda p: rewrite(p, spoil_momentum),
        "optimizer.momentum_buffer.head.weight holds numbers that are not finite",
    ),
    "classes": (lambda p: rewrite(p, rename_class), "the classes dog, no, wolf; the pictures have"),
    "pictures": (lambda p: rewrite(p, swap_pictures), "other pictures (fingerprint 000000000000"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_checkpoint_that_cannot_be_gone_on_with_is_refused_by_name(stopped, name):
    damage, reason = DAMAGES[name]
    damage(stopped.last)
    before = stopped.last.read_bytes()
    _, err = Command(stopped.path.parent, "--resume", stopped.path).end(2)
    assert str(stopped.last) in the_line(err) and reason in err
    assert stopped.last.read_bytes() == before


def spoil_model(tensors, header):
    tensors["head.bias"][1] = float("nan")


def shorten_classes(tensors, header):
    header["class_names"] = ["dog", "fox"]


MODEL_DAMAGES = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:-5]), "is damaged"),
    "pickle": (lambda p: torch.save({"a": 1}, p), "is damaged or no safetensors file"),
    "a checkpoint": (
        lambda p: p.write_bytes((p.parent / "last.safetensors").read_bytes()),
        "is no model file but one of kind 'checkpoint'",
    ),
    "NaN weight": (lambda p: rewrite(p, spoil_model), "head.bias holds numbers that are not"),
    "classes": (lambda p: rewrite(p, shorten_classes), "head.weight is (3, 64) there and (2, 64)"),
}


@pytest.mark.parametrize("name", MODEL_DAMAGES)
def test_a_model_that_cannot_be_used_is_refused_by_name(finished, tmp_path, name):
    damage, reason = MODEL_DAMAGES[name]
    for file in ("model.safetensors", "last.safetensors"):
        (tmp_path / file).write_bytes((finished.path / file).read_bytes())
    damage(tmp_path / "model.safetensors")
    _, err = Command(tmp_path, "crossent", "evaluate", tmp_path).end(2)
    assert str(tmp_path / "model.safetensors") in the_line(err) and reason in err


def test_lines_that_the_checkpoint_counts_on_are_missed(stopped):
    stopped.metrics.write_text("")
    _, err = Command(stopped.path.parent, "--resume", stopped.path).end(2)
    assert f"{stopped.metrics} has 0 whole lines" in the_line(err)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UserError("mend it"), 2, "error: mend it\n"),
        (
            OSError(28, "No space left on device", "run/a"),
            2,
            "error: run/a: No space left on device",
        ),
        (OSError("torch cannot map memory"), None, "torch cannot map memory"),
        (ValueError("operands could not be broadcast"), None, "operands could not be broadcast"),
    ],
    ids=["user", "file", "OSError of a library", "ValueError of a library"],
)
def test_only_mistakes_of_the_user_come_without_a_traceback(capsys, error, status, words):
    def fail(_):
        raise error

    if status is None:
        with pytest.raises(type(error), match=words):
            run_main(fail, [])
    else:
        assert run_main(fail, []) == status
        assert words in capsys.readouterr().err


def test_a_second_training_in_the_same_folder_is_refused(finished, tmp_path):
    run = RunFolder(tmp_path / "run")
    mishap = Mishap("asleep", "after a step")
    first = Command(tmp_path, *SMOKE, "--out", run.path, mishap=mishap)
    deadline = time.monotonic() + 60
    while not run.last.exists():
        assert time.monotonic() < deadline and first.process.is_alive()
        time.sleep(0.02)
    for words in (("--resume", run.path), (*SMOKE, "--out", run.path)):
        _, err = Command(tmp_path, *words).end(2)
        assert f"{run.path} is in use by another training; wait for its end" in err
        the_line(err)
    os.kill(first.process.pid, signal.SIGKILL)
    first.end(-9)
    Command(tmp_path, "--resume", run.path).end(status=0)  # the dead keep no lock
    assert first_difference(finished, run) is None


HOSTILE = {
    "tag": ("optim: !!python/object/apply:os.mkdir [made]", "the tag"),
    "alias bomb": ("a: &a [x, x]\nb: [*a, *a]", "&a is refused"),
    "deep nesting": ("[" * 10_000, "is nested deeper"),
    "duplicate keys": ("seed: 1\nseed: 2", "seed is given twice"),
    "5,000 digits": ("seed: " + "9" * 5000, "seed must be a valid integer; got .inf"),
    "nan for a learning rate": ("optim:\n  lr: .nan", "optim.lr must be a finite number"),
    "no as a model": ("model:\n  name: no", "model.name must be"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_config_is_one_line(tmp_path, name):
    text, words = HOSTILE[name]
    config = tmp_path / "hostile.yaml"
    config.write_text(text)
    _, err = Command(tmp_path, "-c", config, "--out", tmp_path / "run").end(2, timeout_s=20)
    assert str(config) in the_line(err) and words in err
    assert not (tmp_path / "run").exists() and not (tmp_path / "made").exists()


def test_no_is_a_class_like_any_other(finished, tmp_path):
    """YAML 1.1 would take the word for a boolean; in class names it is a word."""
    from PIL import Image

    for name in ("no", "yes"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for shade in range(0, 100, 10):
            picture = tmp_path / "pictures" / name / f"{shade}.png"
            Image.new("RGB", (40, 40), (shade, 200 * (name == "no"), 50)).save(picture)
    words = ("data.source=folder", f"data.root={tmp_path / 'pictures'}", "data.cache=false")
    Command(tmp_path, *SMOKE, *words, "--out", tmp_path / "run").end(status=0)
    found, _ = Command(tmp_path, "crossent", "evaluate", "--json", tmp_path / "run").end(status=0)
    assert json.loads(found)["class_names"] == ["no", "yes"]
