"""The doctor names what is wrong, counts what is odd, and says by its exit status which it was."""

import json
import math

import pytest
from PIL import Image

from data import DataError
from data.advice import guessing_loss
from data.doctor import page, run_doctor
from tests.data.pictures import SHARED, encoded, load, make_files, make_folder, p3_profile, scene


@pytest.fixture
def animals(tmp_path):
    return make_folder(tmp_path / "animals", {"dog": 30, "fox": 30})


@pytest.fixture
def split_animals(tmp_path):
    make_folder(tmp_path / "split" / "train", {"dog": 25, "fox": 25})
    return make_folder(tmp_path / "split" / "val", {"dog": 6, "fox": 6}, first_seed=60).parent


def doctor(root, capsys, **options):
    status = run_doctor(root, as_json=True, **options)
    return status, json.loads(capsys.readouterr().out)


def test_a_healthy_folder(animals, capsys):
    status, found = doctor(animals, capsys, training_s=lambda counts: 2.5 * counts["dog"])
    assert status == 0
    assert found["num_images"] == 60
    assert found["classes"] == {"dog": {"train": 24, "val": 6}, "fox": {"train": 24, "val": 6}}
    assert found["unusable"] == found["odd"] == found["duplicates"] == found["warnings"] == []
    assert found["sizes"] == {"min": [96, 64], "median": [96, 64], "max": [96, 64]}
    assert found["guessing_E"] == pytest.approx(math.log(2))
    assert found["training_s"] == 2.5 * 24
    assert "60 pictures can be used" in page(found) and "No problems found." in page(found)


def test_unusable_files_are_listed_with_their_reasons(animals, capsys):
    (animals / "dog" / "page.jpg").write_bytes(b"<html>404")
    for number in range(21):
        (animals / "fox" / f"none{number:02}.jpg").write_bytes(b"")
    status, found = doctor(animals, capsys)
    assert status == 1
    first, second = found["unusable"][:2]
    assert first["path"] == "dog/page.jpg" and "HTML" in first["reason"]
    assert second["path"] == "fox/none00.jpg" and "empty" in second["reason"]
    assert len(found["unusable"]) == 22
    assert found["repairs"] == ["22 files cannot be used: repair or remove"]
    assert "... and 12 more" in page(found)


@pytest.mark.parametrize("kind", ["same", "nearly"])
@pytest.mark.parametrize(
    ("copy", "in_repairs", "in_warnings"),
    [
        ("train/dog/copy.jpg", [], ["1 pair of files with one picture in one class and split"]),
        ("train/fox/copy.jpg", ["under two labels: keep"], []),
        ("val/dog/copy.jpg", ["both train and val: remove one"], []),
        ("val/fox/copy.jpg", ["under two labels: keep", "both train and val: remove one"], []),
    ],
)
def test_one_picture_twice(split_animals, capsys, kind, copy, in_repairs, in_warnings):
    image = scene(0) if kind == "same" else scene(0).resize((60, 40))
    (split_animals / copy).write_bytes(encoded(image))
    status, found = doctor(split_animals, capsys, image_size=16)
    assert status == bool(in_repairs)
    (pair,) = found["duplicates"]
    assert (pair["paths"], pair["kind"]) == (["train/dog/000.jpg", copy], kind)
    assert (pair["across_classes"], pair["across_splits"]) == ("fox" in copy, "val" in copy)
    for words, sentences in ((in_repairs, "repairs"), (in_warnings, "warnings")):
        assert len(found[sentences]) == len(words)
        assert all(w in text for w, text in zip(words, found[sentences], strict=True))
    data = load(split_animals)  # training says the same
    assert data.warnings == found["repairs"] + found["warnings"]
    assert data.summary.endswith("; 0 unusable, 1 pair of duplicates")
    counts = {name: list(data.val.labels).count(k) for k, name in enumerate(data.class_names)}
    assert counts == {name: split["val"] for name, split in found["classes"].items()}


def test_odd_files_are_counted_with_what_is_done(animals, capsys):
    exif = Image.Exif()
    exif[0x0112] = 6
    film = {"save_all": True, "append_images": [scene(106)]}
    odd_files = {
        "turned": ("turned.jpg", encoded(scene(100), exif=exif)),
        "colour profile": ("p3.jpg", encoded(scene(108), icc_profile=p3_profile())),
        "CMYK": ("cmyk.jpg", encoded(scene(101).convert("CMYK"))),
        "palette": ("palette.png", encoded(scene(102).convert("P"), "PNG")),
        "transparency": ("alpha.png", encoded(scene(103).convert("RGBA"), "PNG")),
        "16-bit": ("deep.png", encoded(scene(104).convert("L").convert("I;16"), "PNG")),
        "animated": ("film.webp", encoded(scene(105), "WEBP", **film)),
        "wrong extension": ("really_jpeg.png", encoded(scene(107))),
    }
    for name, content in odd_files.values():
        (animals / "dog" / name).write_bytes(content)
    status, found = doctor(animals, capsys)
    paths = {kind: [f"dog/{name}"] for kind, (name, _) in odd_files.items()}
    assert {odd["kind"]: odd["paths"] for odd in found["odd"]} == paths
    assert all(odd["count"] == 1 and odd["done"] for odd in found["odd"])
    assert status == 0
    assert "turned upright" in page(found)


def test_imbalance_and_small_classes(tmp_path, capsys):
    root = make_folder(tmp_path, {"dog": 60, "fox": 25, "wolf": 4})
    status, found = doctor(root, capsys)
    assert status == 0
    assert found["guessing_E"] == pytest.approx(guessing_loss({"d": 48, "f": 20, "w": 3}))
    warnings = " | ".join(found["warnings"])
    assert "1 class with fewer than 20 pictures to learn from: wolf (3)" in warnings
    assert "dog has 16.0 times as many pictures as wolf: consider data.sampling=bal" in warnings
    assert "1 class with fewer than 5 pictures to validate with" in warnings


def test_folders_that_cannot_be_trained_on_are_examined_all_the_same(tmp_path, capsys):
    with pytest.raises(DataError, match="no such folder"):
        run_doctor(tmp_path / "none")
    assert "can be used" in page(doctor(tmp_path, capsys)[1])  # nothing there
    (tmp_path / "a.jpg").write_bytes(encoded(scene(1)))
    status, found = doctor(tmp_path, capsys)
    assert (status, found["num_images"]) == (1, 1)
    assert "expected a folder for each class" in found["repairs"][0]
    make_folder(tmp_path, {"dog": 3})
    _, found = doctor(tmp_path, capsys)
    assert "only one class, dog" in found["repairs"][0] and "E =" not in page(found)
    make_folder(tmp_path, {"fox": 0})
    assert "class fox has no picture to train on" in doctor(tmp_path, capsys)[1]["repairs"][0]


def test_nothing_left_for_validation_is_told(tmp_path, capsys):
    status, found = doctor(make_folder(tmp_path, {"dog": 1, "fox": 1}), capsys)
    assert status == 1 and "no picture is left for validation" in found["repairs"][0]


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ("{c}/{c}{n}/{m}.jpg", "data.group=folder"),
        ("{c}/v{n}_frame{m:03}.jpg", "data.group='^(.*?)[0-9]+[^0-9/]*$'"),
        ("{c}/{n}{m}.jpg", None),
        ("{c}/{c}.{n}{m}.jpg", None),
    ],
)
def test_what_looks_like_series_is_told_until_it_is_a_group(tmp_path, capsys, pattern, rule):
    names = [pattern.format(c=c, n=n, m=m) for c in "ab" for n in range(4) for m in range(4)]
    root = make_files(tmp_path / "root", names)
    hints = [w for w in doctor(root, capsys)[1]["warnings"] if "look like series" in w]
    assert [hint.endswith(rule) for hint in hints] == ([True] if rule else [])
    if rule:
        group = rule.removeprefix("data.group=").strip("'")
        _, found = doctor(root, capsys, group=group)
        assert not any("data.group" in w for w in found["warnings"])
        assert all(0 < n["val"] < n["train"] for n in found["classes"].values())


@pytest.mark.skipif(not (SHARED / "bad_images").exists(), reason="../shared/bad_images is not here")
def test_the_hostile_files(capsys):
    status, found = doctor(SHARED / "bad_images", capsys)
    assert (status, found["num_images"], len(found["unusable"])) == (1, 13, 23)
    odd = {odd["kind"]: odd["count"] for odd in found["odd"]}
    assert odd == {"turned": 3, "CMYK": 1, "palette": 2, "transparency": 3, "16-bit": 4}
