"""The doctor names what must be repaired, counts what is odd, and follows the settings."""

import json

import pytest

from crossent.__main__ import main
from data import DataError
from data.advice import about_training
from data.cache import Decoding
from data.doctor import examine, page
from data.load import Split
from tests.data.pictures import ODD_FILES, encoded, load, make_files, make_folder, scene


def doctor(root, image_size=64, group=None):
    return examine(root, image_size, Split(0.2, seed=0), Decoding(), group)


def test_unusable_and_odd_files_are_listed_with_what_to_do_or_what_is_done(animals):
    for name, content in ODD_FILES.values():
        (animals / "dog" / name).write_bytes(content)
    (animals / "dog" / "page.jpg").write_bytes(b"<html>404")
    make_files(animals / "fox", [f"bad{number:02}.jpg" for number in range(21)])
    found = doctor(animals)
    paths = {kind: [f"dog/{name}"] for kind, (name, _) in ODD_FILES.items()}
    assert {odd["kind"]: odd["paths"] for odd in found["odd"]} == paths
    assert all(odd["count"] == 1 and odd["done"] for odd in found["odd"])
    first, second, *more = found["unusable"]
    assert first["path"] == "dog/page.jpg" and "HTML" in first["reason"]
    assert second["path"] == "fox/bad00.jpg" and "empty" in second["reason"]
    assert len(more) == 20
    assert found["repairs"] == ["22 files cannot be used: repair or remove"]
    assert "turned upright" in page(found) and "... and 12 more" in page(found)


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
def test_one_picture_twice(tmp_path, kind, copy, in_repairs, in_warnings):
    make_folder(tmp_path / "train", {"dog": 25, "fox": 25})
    make_folder(tmp_path / "val", {"dog": 6, "fox": 6}, first_seed=60)
    image = scene(0) if kind == "same" else scene(0).resize((60, 40))
    (tmp_path / copy).write_bytes(encoded(image))
    found = doctor(tmp_path, image_size=16)
    (pair,) = found["duplicates"]
    assert (pair["paths"], pair["kind"]) == (["train/dog/000.jpg", copy], kind)
    assert (pair["across_classes"], pair["across_splits"]) == ("fox" in copy, "val" in copy)
    for words, sentences in ((in_repairs, "repairs"), (in_warnings, "warnings")):
        assert len(found[sentences]) == len(words)
        assert all(w in text for w, text in zip(words, found[sentences], strict=True))
    data = load(tmp_path)  # training gives the same warnings
    assert data.warnings == found["repairs"] + found["warnings"]
    assert data.summary.endswith("; 0 unusable, 1 pair of duplicates")


@pytest.mark.parametrize(
    ("counts", "num_corrections", "from_scratch", "expected"),
    [
        ({"dog": 4800, "fox": 2000}, 0, True, "dog has 2.4 times as many pictures as fox: cons"),
        ({"dog": 4800, "fox": 2000}, 1, True, None),
        ({"dog": 48, "fox": 20}, 0, False, None),  # pretrained
        ({"dog": 480, "fox": 20}, 0, False, "dog has 24.0 times as many pictures as fox: consider"),
        ({"dog": 40, "fox": 20}, 2, False, "set only one of them"),
        ({"dog": 1200, "fox": 700}, 0, True, "configs/pretrained.yaml"),
        ({"dog": 1200, "fox": 800}, 0, True, None),
    ],
)
def test_advice_on_the_settings(counts, num_corrections, from_scratch, expected):
    found = about_training(counts, num_corrections, from_scratch)
    assert len(found) == (expected is not None)
    assert all(expected in sentence for sentence in found)


def test_a_folder_that_cannot_be_trained_on_is_refused_or_examined(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(scene(1)))
    for folder, counts, message in (
        ("none", {}, "no such folder"),
        (".", {}, "no folders; expected ROOT/CLASS"),
        (".", {"dog": 1}, "only one class, dog"),
    ):
        make_folder(tmp_path, counts)
        with pytest.raises(DataError, match=message):
            doctor(tmp_path / folder)
    for counts, repair in (
        ({"fox": 0}, "class fox has no usable picture"),
        ({"fox": 1}, "no picture is left for validation"),
    ):
        make_folder(tmp_path, counts, first_seed=9)
        assert repair in doctor(tmp_path)["repairs"][0]
    (tmp_path / "a.jpg").unlink()
    found = doctor(make_folder(tmp_path, {"dog": 30, "fox": 30}))
    assert found["num_images"] == 60
    assert found["classes"] == {"dog": {"train": 24, "val": 6}, "fox": {"train": 24, "val": 6}}
    assert found["unusable"] == found["odd"] == found["duplicates"] == []
    assert found["repairs"] == found["warnings"] == []
    assert "60 pictures can be used" in page(found) and "No problems found." in page(found)


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
        found = doctor(root, group=rule.removeprefix("data.group=").strip("'"))
        assert not any("data.group" in w for w in found["warnings"])
        assert all(0 < n["val"] < n["train"] for n in found["classes"].values())


PRETRAINED = "model: {name: efficientnet_lite0, weights: DEFAULT}"


@pytest.mark.parametrize(("more", "image_size"), [(PRETRAINED, 224), ("", 64)])
def test_the_command_follows_the_weights(animals, tmp_path, capsys, more, image_size):
    """The doctor uses the image size of the weights, and recommends some if there are none."""
    config = tmp_path / "config.yaml"
    config.write_text(f"data: {{source: folder, root: {animals}, image_size: null}}\n{more}")
    assert main(["doctor", "-c", str(config), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["image_size"] == image_size
    is_recommended = any("configs/pretrained.yaml" in line for line in found["warnings"])
    assert is_recommended == (not more)
