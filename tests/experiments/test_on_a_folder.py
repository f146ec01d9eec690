"""Evaluate a run on a folder: what the model was trained on is found, counted and left out."""

import json
import shutil

import pytest
import torch
from PIL import Image

from crossent.model_file import load_model, read_tensors, write_tensors
from tests.evaluation.parts import CPU, crossent, train
from tests.experiments.parts import answers, quick


@pytest.fixture
def run(folds):
    """Return a run that was trained on half of the 63 pictures of `root`."""
    return folds[0] / "fold-1"


@pytest.fixture(scope="module")
def other(root, tmp_path_factory):
    """Return a run on the folders train and val; all pictures of val but one are also in train."""
    folder = tmp_path_factory.mktemp("other")
    for split, last in (("train", "009.jpg"), ("val", "003.jpg")):
        copied(folder / "data" / split, root, [p for p in root.rglob("*.jpg") if p.name <= last])
    with Image.open(root / "dog" / "010.jpg") as picture:
        new = picture.transpose(Image.Transpose.ROTATE_90)
        new.save(folder / "data" / "val" / "dog" / "new.png")
    words = quick(folder / "data", "data.seed=5", "train.batch_size=8", "optim.lr=0.2")
    train(*words, "--out", folder / "other")
    return folder / "other"


def copied(folder, root, names):
    """Save pictures of `root` again, so that the bytes of their files differ."""
    for path in (root / name for name in names):
        copy = folder / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as picture:
            picture.save(copy, quality=95)
    return folder


def test_evaluate_leaves_out_the_training_pictures_and_says_so(root, run):
    y, labels, _ = answers(run)
    found = json.loads(crossent("evaluate", run, "--data", root, "--json")[0])
    own = json.loads(crossent("evaluate", run, "--json")[0])
    for facts, num_seen in ((found, 63 - len(labels)), (own, 0)):
        assert facts["num_images"] == len(labels)
        assert facts["trained_on"]["num_images"] == num_seen
        assert facts["accuracy"]["value"] == pytest.approx((y.argmax(1) == labels).mean())
    text, _ = crossent("evaluate", run, "--data", root)
    assert f"warning: {63 - len(labels)} of 63 pictures, or nearly the same ones," in text
    assert "they are left out; with them accuracy is" in text


def test_near_duplicates_count_and_if_no_new_picture_is_left_a_warning_says_so(
    root, folds, run, tmp_path
):
    seen = answers(folds[0] / "fold-2")[2]
    data = copied(tmp_path / "seen", root, seen)
    found = json.loads(crossent("evaluate", run, "--data", data, "--json")[0])
    assert found["num_images"] == found["trained_on"]["num_images"] == len(seen)
    assert "say nothing about new pictures" in found["trained_on"]["warning"]


def test_compare_and_report_leave_out_what_a_run_was_trained_on(root, run, other):
    left = [name for name in answers(run)[2] if name.partition("/")[2] > "009.jpg"]
    text, _ = crossent("compare", run, other, "--data", root)
    assert text.startswith(f"{len(left)} pictures, the same for all")
    assert f"warning: {63 - len(left)} pictures, or nearly the same ones" in text
    assert "Settings of fold-1 -> other: " in text and "data.seed: null -> 5" in text
    found = json.loads(crossent("compare", run, other, "--data", root, "--json")[0])
    (comparison,) = found["comparisons"]
    assert found["trained_on"] == 63 - len(left)
    changed = {picture["path"]: picture for picture in comparison["changed"]}
    assert list(changed) == [*comparison["gained"], *comparison["lost"]] != []
    for name in comparison["gained"]:
        assert changed[name]["second"] == changed[name]["label"] != changed[name]["first"]
    assert "were used in training: they are left out" in (other / "report.html").read_text()


def test_an_older_model_file_does_not_list_its_training_pictures(root, run, tmp_path):
    tensors, header = read_tensors(run / "model.safetensors")
    del header["trained_on"]
    old = tmp_path / "old.safetensors"
    write_tensors(old, tensors, {**header, "data_fingerprint": "of other pictures"})
    text, _ = crossent("evaluate", old, "--data", root)
    assert "does not say which pictures it was trained on" in text and "63 pictures" in text
    message = "to measure on other pictures, add --data DIR"
    assert message in crossent("evaluate", old, status=2)[1]


def test_a_folder_of_one_class(root, run, tmp_path):
    shutil.copytree(root / "fox", tmp_path / "only" / "fox")
    assert "no pictures of dog" in crossent("evaluate", run, "--data", tmp_path / "only")[0]


def test_a_model_trained_in_bf16_predicts_in_fp32_as_the_exported_one(run, tmp_path):
    tensors, header = read_tensors(run / "model.safetensors")
    write_tensors(tmp_path / "bf16.safetensors", tensors, {**header, "precision": "bf16"})
    images = torch.randint(0, 256, (4, 24, 24, 3), dtype=torch.uint8)
    logits = [load_model(path, CPU).logits(images) for path in (run, tmp_path / "bf16.safetensors")]
    assert torch.equal(*logits)
    assert not torch.equal(logits[0], load_model(run, CPU, "bf16").logits(images))
