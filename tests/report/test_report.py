import re
import unicodedata

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crossent.errors import UserError
from crossent.evaluation.outputs import Outputs
from crossent.model_file import Classifier
from crossent.report.pictures import Gallery, fitted, original
from crossent.report.report import make_environment, shorten, thin, write_report
from crossent.training.run_folder import RunFolder
from data.images import ImageSet, Unusable
from data.preprocess import Preprocessing
from tests.report.parts import CPU, TIME_S, Page, make_data, make_folder, make_page, pictures
from tests.training.parts import make_trainer

PARTS = {
    "progress", "predictions", "confidence", "pictures", "background", "labels", "time",
    "settings", "data", "machine", "again",
}  # fmt: skip
HOSTILE = [
    "<script>alert(1)</script>.jpg", '"><img src=x onerror=alert(2)>.jpg', "' onclick='x.jpg",
    "</script><script>alert(3)", "<!--", "&lt;b&gt;.jpg", "a\x00\ud800\u202e.jpg", "名前.jpg",
    "${x}{{y}}.jpg", "javascript:alert(4)", "]]>", "http://example.com/x.jpg",
]  # fmt: skip


def test_everything_is_there(tmp_path):
    page = Page(make_page(tmp_path / "run", make_data()))
    assert page.ids() >= PARTS
    for text in ("ln 3 = 1.0986, untrained", "class 1", "picture 3.jpg", "32 pictures",
                 "configs/default.yaml:5", "abc+changes", "git checkout abc\n",
                 "and 0.3333 nats = 0.481 bits for the kept model, of epoch 3",
                 "30.36670.333350.0%60.0%0.033350"):  # fmt: skip
        assert text in page.text, text
    assert all(image["alt"] and image["width"] for image in page.all("img"))


def test_hostile_names_stay_text(tmp_path):
    data = make_data(num_val=12, class_names=HOSTILE[:3], names=HOSTILE)
    data.train.names[:12] = HOSTILE
    # listing files has made their names printable before this
    data.unusable.extend(Unusable(name, name) for name in HOSTILE if "\ud800" not in name)
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


def test_the_page_asks_for_nothing(tmp_path):
    html = make_page(tmp_path / "run", make_data())
    page = Page(html)
    for _, attributes in page.elements:
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
        assert attributes.get("xlink:href", "#").startswith("#")
    assert not re.search(r"@import|url\((?!#)|<link|<script", html)
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy and "script-src" not in policy
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("num_classes", [2, 3, 25, 100])
def test_any_number_of_classes(tmp_path, num_classes):
    data = make_data(num_classes, num_val=2 * num_classes)
    html = make_page(tmp_path / "run", data)
    assert Page(html).ids() >= PARTS
    assert len(html) < 3e6


def test_the_largest_pictures_fit_into_three_megabytes(tmp_path):
    """Noise is what JPEG is worst at."""
    data = make_data(num_classes=3, num_val=60, size=160)
    noise = np.random.default_rng(0).integers(0, 256, (60, 160, 160, 3)).astype(np.uint8)
    data.val.images[:] = noise
    data.train.images[:] = noise[:20]
    html = make_page(tmp_path / "run", data)
    assert 3e5 < len(html.encode()) < 3e6


def test_one_picture(tmp_path):
    page = Page(make_page(tmp_path / "run", make_data(num_val=1)))
    assert page.ids() >= PARTS


def test_a_validation_set_without_some_class(tmp_path):
    data = make_data()
    data.val.labels[:] = 1
    page = Page(make_page(tmp_path / "run", data))
    assert page.ids() >= PARTS and "nothing to measure it on" in str(page.elements)


def test_a_run_without_an_epoch(tmp_path):
    page = Page(make_page(tmp_path / "run", make_data(), epochs=0, has_model=False))
    assert "No epoch is finished yet" in page.text and "There is no model yet" in page.text
    assert "Not finished: 0 of 20 epochs" in page.text
    of_model = {"predictions", "confidence", "pictures", "background", "labels"}
    assert page.ids() & PARTS == PARTS - of_model


def test_a_run_of_one_step(tmp_path):
    """Begun, but not even the first line of the log is written."""
    data = make_data()
    folder = make_folder(tmp_path / "run", data, epochs=0, has_model=False)
    for path in (folder.metrics, folder.last, folder.origins, folder.environment):
        path.unlink()
    write_report(folder, CPU, data)
    assert "Training has not started yet" in folder.report.read_text()


def test_pictures_that_have_changed_since(tmp_path):
    """Then the drawings of the settings are others than those of the fingerprint."""
    folder = make_folder(tmp_path / "run", make_data())
    config = folder.config.read_text().replace("num_images: 3000", "num_images: 30")
    folder.config.write_text(config)
    write_report(folder, CPU)
    page = Page(folder.report.read_text())
    assert "the pictures have changed since this run was trained" in page.text
    assert "progress" in page.ids() and "pictures" not in page.ids()


def test_no_run_folder(tmp_path):
    with pytest.raises(UserError, match=r"is not a run folder: it has no config\.yaml"):
        write_report(RunFolder(tmp_path), CPU)


def test_the_same_run_gives_the_same_bytes(tmp_path):
    first = make_page(tmp_path / "a" / "run", make_data())
    second = make_page(tmp_path / "b" / "run", make_data())
    assert first.replace(str(tmp_path / "a"), "") == second.replace(str(tmp_path / "b"), "")


def make_card(probs, label, class_names):
    """The card of one grey picture of whose classes a model has predicted these y."""
    image_set = ImageSet(np.full((1, 8, 8, 3), 99, np.uint8), np.array([label]), ["a.jpg"])
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, len(class_names)))
    classifier = Classifier(model, class_names, Preprocessing(8), "fp32", CPU, {})
    outputs = Outputs(np.log([probs]), np.array([label]))
    (card,) = Gallery(image_set, classifier, None).cards(outputs, [0])
    return card


def test_a_card_has_the_articles_numbers():
    """The worked example: y = (0.33, 0.32, 0.35), a dog; E = 1.108663."""
    card = make_card([0.33, 0.32, 0.35], 0, ["dog", "fox", "wolf"])
    assert [row[:3] for row in card.explanation.rows()] == [
        ("dog", pytest.approx(0.33), 1),
        ("fox", pytest.approx(0.32), 0),
        ("wolf", pytest.approx(0.35), 0),
    ]
    assert card.equation == ("L = 0.33; E = -ln L = 1.1087 nats = 1.5995 bits = 0.4815 in base 10")


def test_a_card_of_many_classes_has_the_label_and_the_largest():
    y = np.full(50, 0.01)
    y[[7, 9]] = 0.26
    explanation = make_card(y, 33, [f"c{k}" for k in range(50)]).explanation
    assert {"c7", "c9", "c33"} < {name for name, *_ in explanation.rows(5)}
    assert explanation.others(5) == (45, pytest.approx(0.45))


def test_a_model_without_a_feature_map_has_cards_without_heat_maps(tmp_path, monkeypatch):
    """A user's MLP: its training must not end in a traceback, nor its page claim a map."""
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3))
    load = lambda path, device: Classifier(  # noqa: E731
        flat, ["a", "b", "c"], Preprocessing(32), "fp32", CPU, {"metrics": {}}
    )
    monkeypatch.setattr("crossent.report.run.load_model", load)
    page = Page(make_page(tmp_path / "run", make_data()))
    assert page.ids() >= PARTS
    assert "the picture" in page.text and "Grad-CAM" not in page.text


def test_the_time_is_that_of_the_clock(tmp_path):
    """With balanced sampling an epoch has more slots than pictures: their quotient is no time."""
    assert "forward+backward2:0080%" in Page(make_page(tmp_path / "a", make_data())).text
    data = make_data()
    folder = make_folder(tmp_path / "b", data)
    folder.append({"kind": "end", "time_s": {**TIME_S, "forward+backward": 270.0}})
    write_report(folder, CPU, data)
    assert "forward+backward4:3090%" in Page(folder.report.read_text()).text


@given(st.text())
def test_any_text_comes_back_as_text(text):
    template = make_environment().from_string('<p title="{{ x }}">{{ x }}</p>')
    html = template.render(x=text)
    html.encode("utf-8")
    page = Page(html)
    assert [tag for tag, _ in page.elements] == ["p"]
    assert page.text == page.all("p")[0]["title"]
    marked = [c for c, d in zip(text, page.text, strict=True) if c != d]
    assert all(unicodedata.category(c) in ("Cc", "Cs") for c in marked)


@pytest.mark.parametrize("text", ["\x00", "\ud800", "\x1b[31m", "\x85", "\x0c", "\r"])
def test_what_no_page_may_hold_is_marked(text):
    assert "\ufffd" in make_environment().from_string("{{ x }}").render(x=text)


def test_a_long_name_loses_its_middle():
    assert shorten("short") == "short"
    assert shorten("a" * 50 + "b" * 50, 21) == "a" * 10 + "…" + "b" * 10


def test_thinning_keeps_the_ends():
    kept = thin(range(1000), 10)
    assert len(kept) == 10 and kept[0] == 0 and kept[-1] == 999
    assert thin([1, 2, 3], 10) == [1, 2, 3]


def test_thumbnails_have_the_shape_of_the_original(tmp_path):
    Image.new("RGB", (300, 100), (200, 30, 40)).save(tmp_path / "wide.png")
    image_set = ImageSet(np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, int), ["wide.png", "gone"])
    wide, gone = (original(image_set, row, str(tmp_path)) for row in range(2))
    assert wide.size == (144, 48) and wide.getpixel((0, 0)) == (200, 30, 40)
    assert fitted(image_set.images[0], 10000, 1).size == (144, 36)
    assert gone.size == (144, 144) and gone.getextrema() == ((0, 0),) * 3


def test_a_wrong_label_stands_out():
    """Of 44 pictures one is labelled wrong; after three epochs it has the largest mean E."""
    trainer = make_trainer(mixup=0.0, dropout=0.0, lr=0.02)
    labels = trainer.batches.image_set.labels
    labels[10] = (labels[10] + 1) % 3
    for _ in range(3):
        for _ in trainer.train_epoch():
            pass
        trainer.finish_epoch(trainer.validate())
    total, count = trainer.losses
    means = total / count
    assert torch.nan_to_num(means).argmax() == 10


def test_originals_that_cannot_be_named(tmp_path):
    """Names that no file can have: the pixels that the model sees are shown instead."""
    image_set = pictures(len(HOSTILE), 3, names=HOSTILE)
    for row in range(len(HOSTILE)):
        shown = original(image_set, row, str(tmp_path))
        expected = Image.fromarray(image_set.images[row]).resize(
            (144, 144), Image.Resampling.BICUBIC
        )
        assert shown == expected, HOSTILE[row]
