"""The doctor names what is wrong, counts what is odd, and says by its exit status which it was."""

import json
import math
import shutil

import pytest
from PIL import Image

from data import cache, decode_pool
from data.advice import guessing_loss
from data.doctor import examine, run_doctor
from data.errors import DataError
from data.folder import load_folder
from data.load import Split
from tests.data.pictures import SHARED, encoded, make_folder, scene


@pytest.fixture(autouse=True)
def _decoded_here(monkeypatch):
    """Not in processes, which test_decode_pool tests."""
    monkeypatch.setattr(cache, "decode_in_order", lambda jobs: map(decode_pool._inspect, jobs))


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


def page_of(root, capsys):
    status = run_doctor(root)
    return status, capsys.readouterr().out


def test_a_healthy_folder(animals, capsys):
    status, found = doctor(animals, capsys)
    assert status == 0
    assert found["num_images"] == 60
    assert found["classes"] == {"dog": {"train": 24, "val": 6}, "fox": {"train": 24, "val": 6}}
    assert found["unusable"] == found["odd"] == found["duplicates"] == found["warnings"] == []
    assert found["sizes"] == {"min": [96, 64], "median": [96, 64], "max": [96, 64]}
    assert found["guessing_E"] == pytest.approx(math.log(2))
    status, page = page_of(animals, capsys)
    assert status == 0
    assert "60 pictures can be used" in page
    assert "No problems found." in page


def test_it_draws_the_split_that_training_draws(animals):
    found = examine(animals, 16, Split(0.3, seed=5))
    (animals / "dog" / "000.jpg").rename(animals / "dog" / "zzz.jpg")
    shutil.copy(animals / "dog" / "001.jpg", animals / "fox" / "liar.jpg")
    again = examine(animals, 16, Split(0.3, seed=5))
    data = load_folder(animals, 16, val_fraction=0.3, seed=5, use_cache=False)
    counts = {name: list(data.val.labels).count(k) for k, name in enumerate(data.class_names)}
    assert {name: split["val"] for name, split in again["classes"].items()} == counts
    assert found["num_images"] == 60


def test_unusable_files_are_listed_with_their_reasons(animals, capsys):
    (animals / "dog" / "page.jpg").write_bytes(b"<html>404")
    (animals / "fox" / "none.jpg").write_bytes(b"")
    status, found = doctor(animals, capsys)
    assert status == 1
    assert [unusable["path"] for unusable in found["unusable"]] == ["dog/page.jpg", "fox/none.jpg"]
    assert "HTML" in found["unusable"][0]["reason"]
    assert "empty" in found["unusable"][1]["reason"]
    assert found["repairs"] == ["2 files cannot be used: repair or remove"]


def test_long_lists_end_with_how_many_more(animals, capsys):
    for number in range(22):
        (animals / "dog" / f"bad{number:02}.jpg").write_bytes(b"")
    _, page = page_of(animals, capsys)
    assert "... and 12 more" in page
    assert len(doctor(animals, capsys)[1]["unusable"]) == 22


def test_odd_files_are_counted_with_what_is_done(animals, capsys):
    exif = Image.Exif()
    exif[0x0112] = 6
    dogs = animals / "dog"
    (dogs / "turned.jpg").write_bytes(encoded(scene(100), exif=exif))
    (dogs / "cmyk.jpg").write_bytes(encoded(scene(101).convert("CMYK")))
    (dogs / "palette.png").write_bytes(encoded(scene(102).convert("P"), "PNG"))
    (dogs / "alpha.png").write_bytes(encoded(scene(103).convert("RGBA"), "PNG"))
    (dogs / "deep.png").write_bytes(encoded(scene(104).convert("L").convert("I;16"), "PNG"))
    frames = [scene(105), scene(106)]
    film = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    (dogs / "film.webp").write_bytes(film)
    (dogs / "really_jpeg.png").write_bytes(encoded(scene(107)))
    status, found = doctor(animals, capsys)
    assert {odd["kind"]: odd["paths"] for odd in found["odd"]} == {
        "turned": ["dog/turned.jpg"],
        "CMYK": ["dog/cmyk.jpg"],
        "palette": ["dog/palette.png"],
        "transparency": ["dog/alpha.png"],
        "16-bit": ["dog/deep.png"],
        "animated": ["dog/film.webp"],
        "wrong extension": ["dog/really_jpeg.png"],
    }
    assert all(odd["count"] == 1 and odd["done"] for odd in found["odd"])
    assert status == 0
    assert "turned upright" in page_of(animals, capsys)[1]


def test_the_same_picture_in_one_class_is_good_to_know(animals, capsys):
    shutil.copy(animals / "dog" / "000.jpg", animals / "dog" / "copy.jpg")
    smaller = scene(1).resize((64, 48))
    (animals / "dog" / "smaller.jpg").write_bytes(encoded(smaller, quality=70))
    status, found = doctor(animals, capsys)
    assert status == 0
    pairs = {(*d["paths"], d["kind"]) for d in found["duplicates"]}
    assert pairs == {
        ("dog/000.jpg", "dog/copy.jpg", "same"),
        ("dog/001.jpg", "dog/smaller.jpg", "nearly"),
    }
    assert "2 pairs of files with one picture in one class" in found["warnings"][0]


@pytest.mark.parametrize("kind", ["same", "nearly"])
def test_two_labels_for_one_picture_must_be_repaired(animals, capsys, kind):
    content = encoded(scene(0)) if kind == "same" else encoded(scene(0).resize((60, 40)))
    (animals / "fox" / "liar.jpg").write_bytes(content)
    status, found = doctor(animals, capsys)
    assert status == 1
    (duplicate,) = found["duplicates"]
    assert duplicate == {
        "paths": ["dog/000.jpg", "fox/liar.jpg"],
        "kind": kind,
        "across_classes": True,
        "across_splits": False,  # our own split keeps them together
    }
    _, page = page_of(animals, capsys)
    assert "One picture under two labels (1 pair):" in page


def test_a_leak_between_train_and_val_must_be_repaired(split_animals, capsys):
    shutil.copy(split_animals / "train/dog/003.jpg", split_animals / "val/dog/leak.jpg")
    status, found = doctor(split_animals, capsys)
    assert status == 1
    (duplicate,) = found["duplicates"]
    assert duplicate["paths"] == ["train/dog/003.jpg", "val/dog/leak.jpg"]
    assert duplicate["across_splits"]
    assert "remove one of them" in found["repairs"][0]


def test_training_says_the_same_in_one_line(split_animals, tmp_path):
    shutil.copy(split_animals / "train/dog/003.jpg", split_animals / "val/fox/leak.jpg")
    for _ in ("cold", "warm"):
        data = load_folder(split_animals, 16, 0.2, 0, cache_dir=tmp_path / "cache")
        assert data.summary == (
            "63 pictures in 2 classes (50 train, 13 val); 0 unusable, 1 pair of duplicates"
        )
        assert "one picture under two labels" in data.warnings[0]
        assert "both train and val" in data.warnings[1]


def test_imbalance_and_small_classes(tmp_path, capsys):
    root = make_folder(tmp_path, {"dog": 60, "fox": 25, "wolf": 4})
    status, found = doctor(root, capsys)
    assert status == 0
    assert found["guessing_E"] == pytest.approx(guessing_loss({"d": 48, "f": 20, "w": 3}))
    warnings = " | ".join(found["warnings"])
    assert "few pictures to learn from: wolf (3)" in warnings
    assert "dog has 16.0 times as many pictures as wolf" in warnings
    assert "validation has 1 picture of wolf" in warnings


def test_guessing_loss():
    assert guessing_loss({"a": 5, "b": 5, "c": 5}) == pytest.approx(math.log(3))
    assert guessing_loss({"a": 9, "b": 1}) == pytest.approx(
        -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    )
    assert guessing_loss({"a": 9, "b": 0}) == 0


def test_folders_that_cannot_be_trained_on_are_examined_all_the_same(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(encoded(scene(1)))
    status, found = doctor(tmp_path, capsys)
    assert (status, found["num_images"]) == (1, 1)
    assert "expected a folder for each class" in found["repairs"][0]
    make_folder(tmp_path, {"dog": 3})
    assert "only one class, dog" in doctor(tmp_path, capsys)[1]["repairs"][0]
    make_folder(tmp_path, {"fox": 0})
    assert "class fox has no picture to train on" in doctor(tmp_path, capsys)[1]["repairs"][0]


def test_an_empty_folder(tmp_path, capsys):
    assert page_of(tmp_path, capsys)[0] == 1
    assert doctor(tmp_path, capsys)[1]["num_images"] == 0


def test_no_such_folder(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        run_doctor(tmp_path / "none")


def test_the_estimate_of_the_training_time(animals, capsys):
    _, found = doctor(animals, capsys, training_s=lambda counts: 2.5 * counts["dog"])
    assert found["training_s"] == 2.5 * 24


@pytest.mark.skipif(not (SHARED / "bad_images").exists(), reason="../shared/bad_images is not here")
def test_the_hostile_files(capsys):
    status, found = doctor(SHARED / "bad_images", capsys)
    assert (status, found["num_images"], len(found["unusable"])) == (1, 13, 23)
    odd = {odd["kind"]: odd["count"] for odd in found["odd"]}
    assert odd == {"turned": 3, "CMYK": 1, "palette": 2, "transparency": 3, "16-bit": 4}
