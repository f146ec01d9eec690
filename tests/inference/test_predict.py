"""predict: the files, the answer for each, and when it is not sure."""

import csv
import io
import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from crossent.errors import UserError
from crossent.inference.paths import find_pictures
from crossent.inference.predict import load, predict, print_predictions
from data.decode import decode
from tests.data.pictures import SHARED, scene


def test_files_and_folders_come_in_the_order_given(pictures):
    """From a folder come the files that training reads: no hidden ones and no texts."""
    (pictures / "a" / "readme.txt").touch()
    (pictures / "b").rename(pictures.parent / "elsewhere")
    (pictures / "b").symlink_to(pictures.parent / "elsewhere", target_is_directory=True)
    found = find_pictures([str(pictures / "b" / "1.jpg"), str(pictures)])
    assert [os.path.relpath(path, pictures) for path in found] == [
        "b/1.jpg",
        "a/2.png", "a/3.jpg", "a/4.webp", "b/0.png", "b/1.jpg", "b/page.jpg",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("missing.png", "no such file"),
        (".", "the folder has no files"),
        ("https://example.org/fox.jpg", "URLs are not loaded"),
    ],
)
def test_an_argument_that_names_no_file_is_refused(tmp_path, monkeypatch, word, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        find_pictures([word])


def test_predictions_are_those_of_the_pictures_decoded_one_by_one(classifier, pictures):
    paths = find_pictures([str(pictures)])
    found = list(predict(classifier, paths))
    assert [answer.path for answer in found] == paths
    for answer in found[:-1]:
        pixels = torch.from_numpy(decode(answer.path, classifier.preprocessing.image_size))
        (expected,) = classifier.logits(pixels.unsqueeze(0)).softmax(dim=1).tolist()
        assert list(answer.probs) == classifier.class_names
        assert list(answer.probs.values()) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert "HTML" in found[-1].error and found[-1].label is None


def test_a_program_gets_the_answers_of_the_command(crossent, run_path, pictures):
    paths = [str(pictures / "a" / name) for name in ("2.png", "3.jpg")]
    out, _ = crossent("predict", run_path, *paths, "--json")
    lines = map(json.loads, out.splitlines())
    model = load(str(run_path), device="cpu", precision="fp32")
    for answer, line in zip(model.predict(paths), lines, strict=True):
        assert (answer.path, answer.label) == (line["path"], line["label"])
        assert answer.probs == pytest.approx(line["probs"], rel=1e-5)
    assert model.predict([]) == []
    with pytest.raises(UserError, match=r"page\.jpg: .*HTML"):
        model.predict(pictures / "b" / "page.jpg")
    with pytest.raises(UserError, match=r"expected .*\(H, W, 3\) uint8.*; got \(3, 8, 8\) float32"):
        model.predict(np.zeros((3, 8, 8), dtype=np.float32))
    with pytest.raises(UserError, match=r"got \(0, 8, 3\) uint8"):
        model.predict(np.zeros((0, 8, 3), dtype=np.uint8))
    for wrong in (None, b"a file", [3], {"fox.jpg"}):
        with pytest.raises(UserError, match=r"expected a path, .*; got \w+"):
            model.predict(wrong)
    with pytest.raises(UserError, match="precision='fp16': expected"):
        load(run_path, precision="fp16")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "I;16", "turned"])
def test_a_picture_in_memory_is_decoded_as_its_file(run_path, tmp_path, mode):
    model, path = load(run_path, device="cpu"), tmp_path / "a.tiff"
    image = scene(1).convert("RGB" if mode in ("turned", "I;16") else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    if mode == "turned":
        exif[0x0112] = 6
    image.save(path, exif=exif)
    with Image.open(path) as opened:
        assert model.predict(opened).probs == model.predict(path).probs
    if mode == "RGB":
        assert model.predict(np.asarray(image)).probs == model.predict(path).probs


def test_csv_has_a_row_per_file_and_no_formula(classifier, pictures, monkeypatch, capsysbinary):
    monkeypatch.chdir(pictures / "a")
    os.rename("2.png", "=1+1.png")
    os.rename("3.jpg", 'comma, "quoted".jpg')
    names = ["=HYPERLINK(1)", "+犬", "-wölfe"]
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(sys.stdout.buffer, encoding="latin-1"))
    paths = ["=1+1.png", 'comma, "quoted".jpg', "@gone.png"]
    print_predictions(replace(classifier, class_names=names), paths, "csv", 3, None)
    out, err = capsysbinary.readouterr()
    assert out.startswith(b"\xef\xbb\xbf"), "without it, a spreadsheet misreads UTF-8"
    text = out.decode("utf-8-sig")
    assert text.splitlines()[0] == "path,label,y_=HYPERLINK(1),y_+犬,y_-wölfe,error"
    *good, bad = csv.DictReader(io.StringIO(text))
    assert [row["path"] for row in good] == ["'=1+1.png", 'comma, "quoted".jpg']
    for row in good:
        assert row["label"] in [f"'{name}" for name in names]
        assert sum(float(row[f"y_{name}"]) for name in names) == pytest.approx(1)
    assert bad["path"] == "'@gone.png" and bad["label"] == bad["y_+犬"] == ""
    assert "No such file" in bad["error"]
    assert err == b"1 of 3 files could not be used\n"


def test_no_usable_file_at_all_is_a_mistake(crossent, run_path, pictures):
    out, err = crossent("predict", run_path, pictures / "b" / "page.jpg", "--csv", status=2)
    assert out.startswith("\ufeffpath,label,y_dog,y_fox,y_wolf,error\n") and "HTML" in out
    assert err == "error: no picture could be used\n"


@pytest.mark.parametrize("name", ["b\udcff.png", "a\n\x1b[31m.png", "狐.png"])
def test_json_gives_the_exact_path_back(crossent, run_path, pictures, name):
    path = str(pictures / name)
    os.rename(pictures / "a" / "2.png", path)
    (line,) = crossent("predict", run_path, path, "--json")[0].splitlines()
    assert json.loads(line)["path"] == path
    assert line.isprintable() and ("狐" in line) is ("狐" in name)


def test_a_promise_turns_unsure_answers_into_not_sure(crossent, run_path, pictures):
    out, err = crossent("predict", run_path, pictures / "a", "--json", "--accuracy", "0.6")
    threshold = float(err.split("at least ")[1].split(":")[0])
    assert "60 validation pictures" in err and "nothing is promised" in err
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == 3
    for prediction in found:
        sure = max(prediction["probs"].values()) >= threshold
        assert (prediction["label"] is not None) is sure
    table, _ = crossent("predict", run_path, pictures / "a", "--accuracy", "0.6")
    assert table.count("not sure  ") == sum(prediction["label"] is None for prediction in found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--accuracy", "0.99"], "takes 381 pictures"),
        (["--accuracy", "1.5"], "expected a share"),
        (["--top", "0"], "--top 0"),
    ],
)
def test_what_cannot_be_promised_is_refused(crossent, run_path, pictures, words, message):
    _, err = crossent("predict", run_path, pictures, *words, status=2)
    assert message in err and err.count("\n") == 1


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/bad_images beside the repository")
def test_hostile_files_are_counted_and_never_fatal(crossent, run_path):
    with (SHARED / "bad_images" / "expected.csv").open() as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    paths = [SHARED / "bad_images" / name for name in expected]
    out, _ = crossent("predict", run_path, *paths, "--json")
    found = {os.path.basename(r["path"]): r for r in map(json.loads, out.splitlines())}
    rejected = {name: "reject" if "error" in line else "decode" for name, line in found.items()}
    assert rejected == expected
