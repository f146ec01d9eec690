"""Evaluate a run on a folder: what the model was trained on is found, counted and left out."""

import json
import shutil

import pytest
import torch
from PIL import Image

from crossent.__main__ import main
from crossent.errors import UserError
from crossent.model_file import load_model
from crossent.tensor_file import read_tensors, write_tensors
from crossent.training.run_folder import RunFolder
from tests.experiments.parts import answers, draw_folder, quick
from tests.forked import Command
from tests.training.parts import CPU

FEW = ("train.epochs=1", "data.workers=1")
NUM = 63  # pictures of `root`


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("drawn") / "pictures")


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    Command(folder, *quick(root, *FEW), "--out", folder / "run").end(status=0)
    return folder / "run"


@pytest.fixture(scope="module")
def other(root, tmp_path_factory):
    """Return a run on the folders train and val; all pictures of val but one are also in train."""
    folder = tmp_path_factory.mktemp("other")
    for split, pattern in (("train", "0[0-2]*.png"), ("val", "00*.png")):
        copied(root, folder / "data" / split, pattern)
    with Image.open(root / "dog" / "000.png") as picture:
        new = picture.transpose(Image.Transpose.ROTATE_90)
        new.save(folder / "data" / "val" / "dog" / "new.png")
    words = quick(folder / "data", *FEW, "data.seed=5")
    Command(folder, *words, "--out", folder / "other").end(status=0)
    return folder / "other"


@pytest.fixture
def ask(capsys):
    """Return a function that returns what a command prints."""

    def ask(*words):
        assert main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    return ask


def copied(root, folder, pattern="*.png", suffix=".png", but=()):
    """Save the pictures to `folder`, without those named in `but`; as .jpg, their bytes differ."""
    for path in root.rglob(pattern):
        copy = folder / path.relative_to(root).with_suffix(suffix)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as picture:
            if str(path.relative_to(root)) not in but:
                picture.save(copy, quality=95)
    return folder


@pytest.mark.parametrize("is_copy", [False, True], ids=["the files", "saved again"])
def test_evaluate_leaves_out_the_training_pictures_and_says_so(root, run, ask, tmp_path, is_copy):
    data = copied(root, tmp_path / "copies", suffix=".jpg") if is_copy else root
    y, labels, _ = answers(run)
    found = json.loads(ask("evaluate", run, "--data", data, "--json"))
    num_seen = found["trained_on"]["num_images"]
    assert found["num_images"] + num_seen == NUM
    text = ask("evaluate", run, "--data", data)
    assert f"warning: {num_seen} of 63 pictures, or nearly the same ones," in text
    assert "they are left out; with them accuracy is" in text
    if is_copy:  # a hash of the pixels finds nearly all
        assert 0.95 * (NUM - len(labels)) < num_seen <= NUM - len(labels)
    else:
        assert num_seen == NUM - len(labels)
        assert found["accuracy"]["value"] == pytest.approx((y.argmax(1) == labels).mean())
        own = json.loads(ask("evaluate", run, "--json"))
        assert (own["num_images"], own["trained_on"]["num_images"]) == (len(labels), 0)


def test_if_no_new_picture_is_left_a_warning_says_so(root, run, ask, tmp_path):
    train = copied(root, tmp_path / "train", but=set(answers(run)[2]))
    found = json.loads(ask("evaluate", run, "--data", train, "--json"))
    assert found["num_images"] == found["trained_on"]["num_images"] == NUM - len(answers(run)[2])
    assert "say nothing about new pictures" in found["trained_on"]["warning"]


def test_compare_leaves_out_what_either_run_was_trained_on(root, run, other, ask):
    left = [name for name in answers(run)[2] if name.partition("/")[2] >= "030"]
    text = ask("compare", run, other, "--data", root)
    assert text.startswith(f"{len(left)} pictures, the same for all")
    assert f"warning: {NUM - len(left)} pictures, or nearly the same ones" in text
    assert "Settings of run -> other: " in text and "data.seed: null -> 5" in text
    found = json.loads(ask("compare", run, other, "--data", root, "--json"))
    (comparison,) = found["comparisons"]
    assert found["trained_on"] == NUM - len(left)
    changed = {picture["path"]: picture for picture in comparison["changed"]}
    assert list(changed) == [*comparison["gained"], *comparison["lost"]]
    for name in comparison["gained"]:
        assert changed[name]["second"] == changed[name]["label"] != changed[name]["first"]


def test_the_report_warns_too(other):
    assert "were used in training: they are left out" in (other / "report.html").read_text()


def test_an_older_model_file_does_not_list_its_training_pictures(root, run, ask, tmp_path):
    tensors, header = read_tensors(RunFolder(run).model)
    del header["trained_on"]
    old = tmp_path / "old.safetensors"
    write_tensors(old, tensors, {**header, "data_fingerprint": "of other pictures"})
    text = ask("evaluate", old, "--data", root)
    assert "does not say which pictures it was trained on" in text and "63 pictures" in text
    with pytest.raises(UserError, match="to measure on other pictures, add --data DIR"):
        main(["evaluate", str(old)])


def test_a_folder_of_one_class(root, run, ask, tmp_path):
    shutil.copytree(root / "fox", tmp_path / "only" / "fox")
    assert "no pictures of dog" in ask("evaluate", run, "--data", tmp_path / "only")


def test_a_model_trained_in_bf16_predicts_in_fp32_as_the_exported_one(run, tmp_path):
    tensors, header = read_tensors(RunFolder(run).model)
    write_tensors(tmp_path / "bf16.safetensors", tensors, {**header, "precision": "bf16"})
    images = torch.randint(0, 256, (4, 24, 24, 3), dtype=torch.uint8)
    logits = [load_model(path, CPU).logits(images) for path in (run, tmp_path / "bf16.safetensors")]
    assert torch.equal(*logits)
    assert not torch.equal(logits[0], load_model(run, CPU, "bf16").logits(images))
