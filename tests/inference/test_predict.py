"""predict: the files, the answer for each, and when it is not sure."""

import csv
import io
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from crossent.errors import UserError
from crossent.inference.predict import load, print_predictions
from data.decode import decode
from tests.data.pictures import SHARED, scene
from tests.evaluation.parts import crossent


def predicted(*words):
    return [json.loads(line) for line in crossent("predict", *words, "--json")[0].splitlines()]


def test_predictions_are_those_of_the_pictures_decoded_one_by_one(run_path, classifier, pictures):
    """From a folder, in the order given, come the files that training reads."""
    (pictures / "b").rename(pictures.parent / "elsewhere")
    (pictures / "b").symlink_to(pictures.parent / "elsewhere", target_is_directory=True)
    found = predicted(run_path, pictures / "b" / "1.jpg", pictures)
    assert [os.path.relpath(line["path"], pictures) for line in found] == [
        "b/1.jpg",
        "a/2.png", "a/3.jpg", "a/4.webp", "b/0.png", "b/1.jpg", "b/page.jpg",
    ]  # fmt: skip
    for line in found[:-1]:
        pixels = torch.from_numpy(decode(line["path"], classifier.preprocessing.image_size))
        (expected,) = classifier.logits(pixels.unsqueeze(0)).softmax(dim=1).tolist()
        assert list(line["probs"]) == classifier.class_names
        assert list(line["probs"].values()) == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert line["label"] == classifier.class_names[np.argmax(expected)]
    assert "HTML" in found[-1]["error"] and found[-1].keys() == {"path", "error"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.png"], "no such file"),
        (["empty"], "the folder has no files"),
        (["https://example.org/fox.jpg"], "URLs are not loaded"),
        (["page.jpg"], "error: no picture could be used"),
        (["0.png", "--accuracy", "0.99"], "takes 381 pictures"),
        (["0.png", "--accuracy", "1.5"], "expected a share"),
        (["0.png", "--top", "0"], "--top 0"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_refused(run_path, pictures, monkeypatch, words, message):
    monkeypatch.chdir(pictures / "b")
    (pictures / "b" / "empty").mkdir()
    assert message in crossent("predict", run_path, *words, status=2)[1]


def test_a_program_gets_the_answers_of_the_command(run_path, pictures):
    paths = [str(pictures / "a" / name) for name in ("2.png", "3.jpg")]
    model = load(str(run_path), device="cpu", precision="fp32")
    for answer, line in zip(model.predict(paths), predicted(run_path, *paths), strict=True):
        assert (answer.path, answer.label) == (line["path"], line["label"])
        assert answer.probs == pytest.approx(line["probs"], rel=1e-5)
    assert model.predict([]) == []
    for wrong, message in (
        (pictures / "b" / "page.jpg", r"page\.jpg: .*HTML"),
        (np.zeros((3, 8, 8), np.float32), r"\(H, W, 3\) uint8.*; got \(3, 8, 8\) float32"),
        (np.zeros((0, 8, 3), np.uint8), r"got \(0, 8, 3\) uint8"),
        *((wrong, r"expected a path, .*; got \w+") for wrong in (None, b"a file", [3], {"a.jpg"})),
    ):
        with pytest.raises(UserError, match=message):
            model.predict(wrong)
    with pytest.raises(UserError, match="precision='fp16': expected"):
        load(run_path, precision="fp16")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "I;16", "turned"])
def test_a_picture_in_memory_is_decoded_as_its_file(run_path, tmp_path, mode):
    model, path, exif = load(run_path, device="cpu"), tmp_path / "a.tiff", Image.Exif()
    image = scene(1)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    elif mode == "turned":
        exif[0x0112] = 6
    else:
        image = image.convert(mode)
    image.save(path, exif=exif)
    with Image.open(path) as opened:
        assert model.predict(opened).probs == model.predict(path).probs
    if mode == "RGB":
        assert model.predict(np.asarray(image)).probs == model.predict(path).probs


def test_csv_has_a_row_per_file_and_no_formula(classifier, pictures, monkeypatch):
    monkeypatch.chdir(pictures / "a")
    os.rename("2.png", "=1+1.png")
    os.rename("3.jpg", 'comma, "quoted".jpg')
    names = ["=HYPERLINK(1)", "+犬", "-wölfe"]
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr("sys.stdout", out)
    paths = ["=1+1.png", 'comma, "quoted".jpg', "@gone.png"]
    print_predictions(replace(classifier, class_names=names), paths, "csv", 3, None)
    content = out.buffer.getvalue()
    assert content.startswith(b"\xef\xbb\xbf"), "without it, a spreadsheet misreads UTF-8"
    text = content.decode("utf-8-sig")
    assert text.splitlines()[0] == "path,label,y_=HYPERLINK(1),y_+犬,y_-wölfe,error"
    *good, bad = csv.DictReader(io.StringIO(text))
    assert [row["path"] for row in good] == ["'=1+1.png", 'comma, "quoted".jpg']
    for row in good:
        assert row["label"] in [f"'{name}" for name in names]
        assert sum(float(row[f"y_{name}"]) for name in names) == pytest.approx(1)
    assert bad["path"] == "'@gone.png" and bad["label"] == bad["y_+犬"] == ""
    assert "No such file" in bad["error"]


@pytest.mark.parametrize("name", ["b\udcff.png", "a\n\x1b[31m.png", "狐.png"])
def test_json_gives_the_exact_path_back(run_path, pictures, name):
    path = str(pictures / name)
    os.rename(pictures / "a" / "2.png", path)
    (line,) = crossent("predict", run_path, path, "--json")[0].splitlines()
    assert json.loads(line)["path"] == path
    assert line.isprintable() and ("狐" in line) is ("狐" in name)


def test_a_promise_turns_unsure_answers_into_not_sure(run_path, pictures):
    out, err = crossent("predict", run_path, pictures, "--json", "--accuracy", "0.6")
    threshold = float(err.split("at least ")[1].split(":")[0])
    assert "60 validation pictures" in err and "nothing is promised" in err
    found = [line for line in map(json.loads, out.splitlines()) if "probs" in line]
    num_unsure = sum(prediction["label"] is None for prediction in found)
    assert 0 < num_unsure < len(found)
    assert err.endswith("1 of 6 files could not be used\n")
    for prediction in found:
        sure = max(prediction["probs"].values()) >= threshold
        assert (prediction["label"] is not None) is sure
    table, _ = crossent("predict", run_path, pictures, "--accuracy", "0.6")
    assert table.count("not sure  ") == num_unsure


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/bad_images beside the repository")
def test_hostile_files_are_counted_and_never_fatal(run_path):
    with (SHARED / "bad_images" / "expected.csv").open() as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    lines = predicted(run_path, *(SHARED / "bad_images" / name for name in expected))
    rejected = {os.path.basename(x["path"]): "reject" if "error" in x else "decode" for x in lines}
    assert rejected == expected
