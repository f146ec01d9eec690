"""The doctor names what must be repaired, counts what is odd, and follows the settings."""

import json

import pytest
from PIL import Image

from crossent import pretrained
from crossent.__main__ import main
from data import DataError
from data.advice import about_training
from data.cache import Decoding
from data.doctor import examine, page
from data.load import Split
from tests.data.pictures import encoded, load, make_files, make_folder, other_profile, scene


@pytest.fixture
def animals(tmp_path):
    return make_folder(tmp_path / "animals", {"dog": 30, "fox": 30})


@pytest.fixture
def split_animals(tmp_path):
    make_folder(tmp_path / "split" / "train", {"dog": 25, "fox": 25})
    return make_folder(tmp_path / "split" / "val", {"dog": 6, "fox": 6}, first_seed=60).parent


def doctor(root, image_size=64, group=None):
    return examine(root, image_size, Split(0.2, seed=0), Decoding(), group)


def test_a_healthy_folder(animals):
    found = doctor(animals)
    assert found["num_images"] == 60
    assert found["classes"] == {"dog": {"train": 24, "val": 6}, "fox": {"train": 24, "val": 6}}
    assert found["unusable"] == found["odd"] == found["duplicates"] == []
    assert found["repairs"] == found["warnings"] == []
    assert "60 pictures can be used" in page(found) and "No problems found." in page(found)


def test_unusable_files_are_listed_with_their_reasons(animals):
    (animals / "dog" / "page.jpg").write_bytes(b"<html>404")
    make_files(animals / "fox", [f"bad{number:02}.jpg" for number in range(21)])
    found = doctor(animals)
    first, second, *more = found["unusable"]
    assert first["path"] == "dog/page.jpg" and "HTML" in first["reason"]
    assert second["path"] == "fox/bad00.jpg" and "empty" in second["reason"]
    assert len(more) == 20
    assert found["repairs"] == ["22 files cannot be used: repair or remove"]
    assert "... and 12 more" in page(found)


@pytest.mark.parametrize("kind", ["same", "nearly"])
@pytest.mark.parametrize(
    ("copy", "in_repairs", "in_warnings"),
    [
        ("train/dog/copy.jpg", [], ["1 pair of duplicates in one class and split"]),
        ("train/fox/copy.jpg", ["under two labels: keep"], []),
        ("val/dog/copy.jpg", ["in train and in val: keep"], []),
        ("val/fox/copy.jpg", ["under two labels: keep", "in train and in val: keep"], []),
    ],
)
def test_one_picture_twice(split_animals, kind, copy, in_repairs, in_warnings):
    image = scene(0) if kind == "same" else scene(0).resize((60, 40))
    (split_animals / copy).write_bytes(encoded(image))
    found = doctor(split_animals, image_size=16)
    (pair,) = found["duplicates"]
    assert (pair["paths"], pair["kind"]) == (["train/dog/000.jpg", copy], kind)
    assert (pair["across_classes"], pair["across_splits"]) == ("fox" in copy, "val" in copy)
    for words, sentences in ((in_repairs, "repairs"), (in_warnings, "warnings")):
        assert len(found[sentences]) == len(words)
        assert all(w in text for w, text in zip(words, found[sentences], strict=True))
    data = load(split_animals)  # training gives the same warnings
    assert data.warnings == found["repairs"] + found["warnings"]
    assert data.summary.endswith("; 0 unusable, 1 pair of duplicates")
    counts = {name: list(data.val.labels).count(k) for k, name in enumerate(data.class_names)}
    assert counts == {name: split["val"] for name, split in found["classes"].items()}


def test_odd_files_are_counted_with_what_is_done(animals):
    exif = Image.Exif()
    exif[0x0112] = 6
    film = {"save_all": True, "append_images": [scene(106)]}
    odd_files = {
        "turned": ("turned.jpg", encoded(scene(100), exif=exif)),
        "colour profile": ("profile.jpg", encoded(scene(108), icc_profile=other_profile())),
        "CMYK": ("cmyk.jpg", encoded(scene(101).convert("CMYK"))),
        "palette": ("palette.png", encoded(scene(102).convert("P"), "PNG")),
        "transparency": ("alpha.png", encoded(scene(103).convert("RGBA"), "PNG")),
        "16-bit": ("deep.png", encoded(scene(104).convert("L").convert("I;16"), "PNG")),
        "animated": ("film.webp", encoded(scene(105), "WEBP", **film)),
        "wrong extension": ("really_jpeg.png", encoded(scene(107))),
    }
    for name, content in odd_files.values():
        (animals / "dog" / name).write_bytes(content)
    found = doctor(animals)
    paths = {kind: [f"dog/{name}"] for kind, (name, _) in odd_files.items()}
    assert {odd["kind"]: odd["paths"] for odd in found["odd"]} == paths
    assert all(odd["count"] == 1 and odd["done"] for odd in found["odd"])
    assert found["repairs"] == [] and "turned upright" in page(found)


@pytest.mark.parametrize(
    ("counts", "num_corrections", "from_scratch", "expected"),
    [
        ({"dog": 4800, "fox": 2000}, 0, True, "dog has 2.4 times as many pictures as fox: cons"),
        ({"dog": 4800, "fox": 2000}, 1, True, None),
        ({"dog": 48, "fox": 20}, 0, False, None),  # pretrained
        ({"dog": 480, "fox": 20}, 0, False, "dog has 24.0 times as many pictures as fox: consider"),
        ({"dog": 40, "fox": 20}, 0, False, None),
        ({"dog": 40, "fox": 20}, 2, False, "set only one of them"),
        ({"dog": 1200, "fox": 700}, 0, True, "configs/pretrained.yaml"),
        ({"dog": 1200, "fox": 800}, 0, True, None),
        ({"dog": 10}, 0, True, None),
    ],
)
def test_advice_on_the_settings(counts, num_corrections, from_scratch, expected):
    found = about_training(counts, num_corrections, from_scratch)
    assert len(found) == (expected is not None)
    assert all(expected in sentence for sentence in found)


def test_folders_that_cannot_be_trained_on(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        doctor(tmp_path / "none")
    (tmp_path / "a.jpg").write_bytes(encoded(scene(1)))
    with pytest.raises(DataError, match="expected a folder for each class"):
        doctor(tmp_path)
    make_folder(tmp_path, {"dog": 1})
    with pytest.raises(DataError, match="only one class, dog"):
        doctor(tmp_path)
    make_folder(tmp_path, {"fox": 0})
    assert "class fox has no usable picture" in doctor(tmp_path)["repairs"][0]
    make_folder(tmp_path, {"fox": 1}, first_seed=9)
    assert "no picture is left for validation" in doctor(tmp_path)["repairs"][0]


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ("{c}/{c}{n}/{m}.jpg", "data.group=folder"),
        ("{c}/v{n}_frame{m:03}.jpg", "data.group='^(.*?)[0-9]+[^0-9/]*$'"),
        ("{c}/{n}{m}.jpg", None),
        ("{c}/{c}.{n}{m}.jpg", None),
    ],
)
def test_series_are_reported_unless_they_are_groups(tmp_path, pattern, rule):
    names = [pattern.format(c=c, n=n, m=m) for c in "ab" for n in range(4) for m in range(4)]
    root = make_files(tmp_path / "root", names)
    hints = [w for w in doctor(root)["warnings"] if "look like series" in w]
    assert [hint.endswith(rule) for hint in hints] == ([True] if rule else [])
    if rule:
        group = rule.removeprefix("data.group=").strip("'")
        found = doctor(root, group=group)
        assert not any("data.group" in w for w in found["warnings"])
        assert all(0 < n["val"] < n["train"] for n in found["classes"].values())


PRETRAINED = "model: {name: torchvision/resnet18, weights: some.safetensors}"


@pytest.mark.parametrize(("more", "image_size"), [(PRETRAINED, 224), ("", 64)])
def test_the_command_follows_the_weights(tmp_path, monkeypatch, capsys, more, image_size):
    """The doctor uses the image size of the weights, and recommends some if there are none."""
    root = make_folder(tmp_path / "animals", {"dog": 12, "fox": 8})
    data = f"data: {{source: folder, root: {root}, val_fraction: 0.25}}"
    (tmp_path / "config.yaml").write_text(f"{data}\n{more}")
    weights = pretrained.PretrainedWeights(tmp_path, {}, {"data.image_size": 224})
    monkeypatch.setattr(pretrained, "read_pretrained", lambda *args: weights)
    monkeypatch.setattr("crossent.train_run.training_seconds", lambda *args: 60.0)
    assert main(["doctor", "-c", str(tmp_path / "config.yaml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["image_size"], found["training_s"]) == (image_size, 60.0)
    is_recommended = any("configs/pretrained.yaml" in line for line in found["warnings"])
    assert is_recommended == (not more)


def test_the_command_finds_mistakes_in_the_settings_too(tmp_path, capsys):
    root = make_folder(tmp_path / "animals", {"dog": 12, "fox": 8})
    config = tmp_path / "config.yaml"
    config.write_text(f"data: {{source: folder, root: {root}}}\nloss: {{class_weights: [1, 2, 3]}}")
    assert main(["doctor", "-c", str(config)]) == 1
    assert "loss.class_weights has 3 numbers; expected 2" in capsys.readouterr().out
