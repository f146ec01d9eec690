import re
import unicodedata

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crossent.build import make_batches
from crossent.config import load_settings
from crossent.errors import UserError
from crossent.evaluation.scores import Outputs
from crossent.inference.heatmap import to_shape
from crossent.model_file import Classifier
from crossent.report.page import ENVIRONMENT
from crossent.report.pictures import Gallery, first_batch, in_words
from crossent.report.report import write_report
from crossent.training.distributed import ALONE
from crossent.training.run_folder import RunFolder
from data.images import ImageSet, Unusable
from data.preprocess import Preprocessing
from tests.report.parts import (
    CPU,
    HOSTILE,
    Page,
    make_data,
    make_folder,
    make_page,
    pictures,
)

OF_MODEL = {"predictions", "confidence", "pictures", "labels"}
PARTS = OF_MODEL | {"progress", "data", "again"}


def test_everything_is_there_and_nothing_is_requested(tmp_path):
    html = make_page(tmp_path / "a" / "run", make_data())
    page = Page(html)
    words = dict(re.findall(r'<a href="#(\w+)">([^<]+)</a>', html))
    assert words.keys() == PARTS
    assert words == dict(re.findall(r'<h2 id="(\w+)-title">([^<]+)</h2>', html))
    for text in ("ln 3 = 1.0986, untrained", "class 1", "picture 3.jpg", "32 pictures",
                 "settings; 1 changed from the default", "data.num_images30changed",
                 "abc+changes", "git checkout abc\n",
                 "and 0.3333 nats for the kept model, of epoch 3",
                 "30.36670.333350.0%60.0%0.033350"):  # fmt: skip
        assert text in page.text, text
    assert "19 of 20 training pictures" in page.text  # E was above ln 3
    assert page.text.index("; E 9.00") < page.text.index("; E 8.58")
    assert all(image["alt"] and image["width"] for image in page.all("img"))
    for _, attributes in page.elements:
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("xlink:href", "#").startswith("#")
    assert not re.search(r"@import|url\((?!#)|<link|<script", html)
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy and "script-src" not in policy
    assert len(page.ids()) == len(set(page.ids()))

    again = make_page(tmp_path / "b" / "run", make_data())
    assert again.replace(str(tmp_path / "b"), str(tmp_path / "a")) == html, "the same bytes"


def test_hostile_names_stay_text(tmp_path):
    data = make_data(class_names=HOSTILE[:3], names=HOSTILE)
    data.train.names[:12] = HOSTILE
    # listing files has made their names printable before this
    data.unusable.extend(Unusable(name, name) for name in HOSTILE if "\udcff" not in name)
    data.warnings.extend(HOSTILE)
    page = Page(make_page(tmp_path / "run", data))
    assert {tag for tag, _ in page.elements} <= {
        "html", "head", "meta", "title", "style", "body", "a", "header", "nav", "main", "section",
        "h1", "h2", "h3", "h4", "p", "dl", "dt", "dd", "div", "small", "span", "strong", "figure",
        "figcaption", "svg", "defs", "clippath", "g", "path", "use", "rect", "line", "circle",
        "text", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "ul",
        "li", "article", "img", "pre", "code",
    }  # fmt: skip
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
    assert HOSTILE[0] in page.text, "and it can be read"


@pytest.mark.parametrize(("num_classes", "num_val"), [(100, 200), (3, 1)])
def test_any_number_of_classes_and_pictures(tmp_path, num_classes, num_val):
    html = make_page(tmp_path / "run", make_data(num_classes, num_val))
    page = Page(html)
    assert {*page.ids()} >= PARTS
    assert len(html) < 3e6
    assert num_val >= num_classes or "nothing to measure it on" in str(page.elements)


def test_a_run_that_has_just_begun(tmp_path):
    data = make_data()
    folder = make_folder(tmp_path / "run", data, epochs=0)
    write_report(folder, CPU, data)
    page = Page(folder.report.read_text())
    assert "No epoch is finished yet, so there is no model" in page.text
    assert "Not finished: 0 of 10 epochs" in page.text
    assert {*page.ids()} & PARTS == PARTS - OF_MODEL
    folder.append({"kind": "end"})
    write_report(folder, CPU, data)
    assert "Epochs: 0; finished" in Page(folder.report.read_text()).text
    for path in (folder.metrics, folder.last, folder.environment):
        path.unlink()
    for given_data in (data, None):  # and those that the settings name cannot be found
        write_report(folder, CPU, given_data)
        assert "Training has not started yet" in folder.report.read_text()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"is not a run folder: it has no config\.yaml"):
        write_report(RunFolder(tmp_path / "empty"), CPU)


def test_pictures_that_have_changed_since(tmp_path):
    """The drawings of the settings do not have the fingerprint in environment.json."""
    folder = make_folder(tmp_path / "run", make_data())
    write_report(folder, CPU)
    page = Page(folder.report.read_text())
    assert "the pictures have changed since this run was trained" in page.text
    assert "progress" in page.ids() and "pictures" not in page.ids()


def test_a_card_has_the_articles_numbers():
    """The worked example: y = (0.33, 0.32, 0.35), a dog; E = 1.108663."""
    names = ["dog", "fox", "wolf"]
    image_set = ImageSet(np.full((1, 8, 8, 3), 99, np.uint8), np.array([0]), ["a.jpg"])
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 3))
    classifier = Classifier(flat, names, Preprocessing(8), "fp32", CPU, {})
    outputs = Outputs(np.log([[0.33, 0.32, 0.35]]), np.array([0]))
    card = Gallery(image_set, classifier, None).card(outputs, 0)
    assert card["title"] == "dog, predicted: wolf (wrong)"
    assert card["numbers"] == "y = 0.35; L = 0.33; E = -ln L = 1.1087 nats"


def test_a_model_without_a_feature_map_has_a_page_without_heat_maps(tmp_path, monkeypatch):
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3))
    classifier = Classifier(
        flat, ["a", "b", "c"], Preprocessing(32), "fp32", CPU, {"metrics": {"epoch": 3}}
    )
    monkeypatch.setattr("crossent.report.report.load_model", lambda path, device: classifier)
    page = Page(make_page(tmp_path / "run", make_data()))
    assert {*page.ids()} >= PARTS
    assert "the picture" in page.text and "Grad-CAM" not in page.text


TEMPLATE = ENVIRONMENT.from_string('<p title="{{ x }}">{{ x }}</p>')


@given(st.text())
def test_any_text_comes_back_as_text(text):
    html = TEMPLATE.render(x=text)
    html.encode("utf-8")
    page = Page(html)
    assert [tag for tag, _ in page.elements] == ["p"]
    assert page.text == page.all("p")[0]["title"]
    marked = [c for c, d in zip(text, page.text, strict=True) if c != d]
    assert all(unicodedata.category(c) in ("Cc", "Cs") for c in marked)
    forbidden = "\x00\ud800\x1b\x85\x0c\r"
    assert TEMPLATE.render(x=forbidden).count("\ufffd") == 2 * len(forbidden)


def test_pictures_have_the_shape_of_their_file_if_it_can_be_read(tmp_path):
    Image.new("RGB", (300, 100), (200, 30, 40)).save(tmp_path / "wide.png")
    unreadable = ["gone.jpg", *HOSTILE]
    image_set = pictures(len(unreadable) + 1, 3, names=["wide.png", *unreadable])
    gallery = Gallery(image_set, None, str(tmp_path))
    wide = gallery.original(0)
    assert wide.size == (144, 48) and wide.getpixel((0, 0)) == (200, 30, 40)
    assert to_shape(image_set.images[0], 10000, 1, 144).size == (144, 36), "a sliver"
    for row, name in enumerate(unreadable, 1):  # the pixels that the model sees are shown instead
        pixels = Image.fromarray(image_set.images[row])
        assert gallery.original(row) == pixels.resize((144, 144), Image.Resampling.BICUBIC), name


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_pictures_and_labels_are_those_of_training(mixup):
    words = ["train.batch_size=8", "data.mean=[0.1, 0.2, 0.3]", "data.std=[0.2, 0.2, 0.5]"]
    words.append(f"train.mixup={mixup}")
    settings, data = load_settings(None, words).settings, make_data()
    batch = next(make_batches(settings, data, CPU, ALONE).epoch(0))
    shown = first_batch(settings, data, limit=5)
    assert len(shown) == 5
    for (image, caption), images, target in zip(shown, batch.images, batch.target, strict=False):
        seen = images.permute(1, 2, 0).numpy() * settings.data.std + settings.data.mean
        np.testing.assert_allclose(np.asarray(image), np.clip(255 * seen, 0, 255), atol=0.51)
        assert caption == in_words(target, data.class_names)
    assert any("%" in caption for _, caption in shown) is (mixup > 0)


@pytest.mark.parametrize(
    ("target", "words"),
    [(1, "b"), ([0, 0.004, 0.996], "c"), ([0.3, 0, 0.7], "c 70%, a 30%")],
)
def test_shares_are_shown_only_for_a_mixed_label(target, words):
    assert in_words(torch.tensor(target), ["a", "b", "c"]) == words


def test_the_command_writes_a_picture_and_keeps_no_run(tmp_path, monkeypatch, capsys):
    from train import main

    path = tmp_path / "smoke.yaml"
    monkeypatch.chdir(tmp_path)
    path.write_text("{data: {num_images: 30, image_size: 32}}")
    assert main(["-c", str(path), "--preview"]) == 0
    assert "preview.png: 12 pictures" in capsys.readouterr().out
    assert {p.name for p in tmp_path.iterdir()} == {"preview.png", "smoke.yaml"}
    with Image.open("preview.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 20
