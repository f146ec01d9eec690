import re

import numpy as np
import pytest
import torch

from crossent.errors import UserError
from crossent.evaluation.outputs import Outputs
from crossent.report.gallery import article_table
from crossent.report.report import write_report
from crossent.report.thumbnail import fit, picture_of
from crossent.training.run_folder import RunFolder
from data.images import ImageSet, Unusable
from tests.report.parts import CPU, Page, make_data, make_folder, make_page, pictures, read_points
from tests.training.parts import make_trainer

PARTS = {
    "progress", "answers", "confidence", "pictures", "snow", "labels", "time", "settings", "data",
    "machine", "again",
}  # fmt: skip
HOSTILE = [
    "<script>alert(1)</script>.jpg", '"><img src=x onerror=alert(2)>.jpg', "' onclick='x.jpg",
    "</script><script>alert(3)", "<!--", "&lt;b&gt;.jpg", "a\x00\ud800\u202e.jpg", "名前.jpg",
    "${x}{{y}}.jpg", "javascript:alert(4)", "]]>", "http://example.com/x.jpg",
]  # fmt: skip


def test_everything_is_there(tmp_path):
    page = Page(make_page(tmp_path / "run", make_data()))
    assert page.ids() >= PARTS
    for text in ("ln 3 = 1.0986: knows nothing", "class 1", "picture 3.jpg", "32 pictures",
                 "configs/default.yaml:5", "abc+changes", "git checkout abc\n"):  # fmt: skip
        assert text in page.text, text
    assert read_points(page)[-1][1].startswith("epoch 3: E train 0.3667, validation 0.3333 nats")
    assert all(image["alt"] and image["width"] for image in page.all("img"))


def test_hostile_names_stay_text(tmp_path):
    data = make_data(num_val=12, class_names=HOSTILE[:3], names=HOSTILE)
    data.train.names[:12] = HOSTILE
    # listing files has made their names printable before this
    data.unusable.extend(Unusable(name, name) for name in HOSTILE if "\ud800" not in name)
    data.warnings.extend(HOSTILE)
    page = Page(make_page(tmp_path / "run", data))
    assert len(page.all("script")) == 1
    assert {tag for tag, _ in page.elements} <= {
        "html", "head", "meta", "title", "style", "body", "a", "header", "nav", "main", "section",
        "h1", "h2", "h3", "h4", "p", "dl", "dt", "dd", "div", "small", "span", "strong", "figure",
        "figcaption", "output", "svg", "line", "circle", "polyline", "text", "table", "caption",
        "thead", "tbody", "tr", "th", "td", "details", "summary", "ul", "li", "article", "img",
        "br", "pre", "code", "script",
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
    assert not re.search(r"@import|url\(|fetch\(|XMLHttp|<link", html)
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy


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
    assert page.ids() >= PARTS and "there is nothing to measure it with" in str(page.elements)


def test_a_run_without_an_epoch(tmp_path):
    page = Page(make_page(tmp_path / "run", make_data(), epochs=0, has_model=False))
    assert "No epoch is finished yet" in page.text and "There is no model yet" in page.text
    assert "Not finished: 0 of 20 epochs" in page.text
    assert page.ids() >= PARTS - {"confidence", "pictures", "snow", "labels"}


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


def test_a_card_has_the_articles_numbers():
    """The worked example: y = (0.33, 0.32, 0.35), a dog; E = 1.108663."""
    outputs = Outputs(np.log([[0.33, 0.32, 0.35]]), np.array([0]))
    text = Page(article_table(outputs, 0, ["dog", "fox", "wolf"])).text
    assert "dog0.33001" in text and "wolf0.35000" in text
    assert "L = 0.33; E = -ln L = 1.1087 nats = 1.5995 bits = 0.4815 in base 10" in text


def test_a_card_of_many_classes_has_the_label_and_the_largest():
    logits = np.zeros((1, 50))
    logits[0, [7, 9]] = 3.0
    text = Page(
        article_table(Outputs(logits, np.array([33])), 0, [f"c{k} " for k in range(50)])
    ).text
    assert "c7 " in text and "c9 " in text and "c33 " in text and "45 others" in text


def test_thumbnails_have_the_shape_of_the_original(tmp_path):
    from PIL import Image

    Image.new("RGB", (300, 100), (200, 30, 40)).save(tmp_path / "wide.png")
    image_set = ImageSet(np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, int), ["wide.png", "gone"])
    wide, gone = (picture_of(image_set, row, str(tmp_path)) for row in (0, 1))
    assert wide.size == (144, 48) and tuple(wide.pixels[0, 0]) == (200, 30, 40)
    assert gone.size == (144, 144) and not gone.pixels.any()
    assert fit(10000, 1) == (144, 36)


def test_a_wrong_label_stands_out():
    """Of 44 pictures one is labelled wrong; after three epochs it has the largest mean E."""
    trainer = make_trainer(mixup=0.0, dropout=0.0, lr=0.02)
    labels = trainer.batches.image_set.labels
    labels[10] = (labels[10] + 1) % 3
    for _ in range(3):
        trainer.train_epoch(after_step=lambda: None)
        trainer.finish_epoch(trainer.validate())
    means = trainer.samples.total / trainer.samples.count
    assert torch.nan_to_num(means).argmax() == 10


def test_originals_that_cannot_be_named(tmp_path):
    image_set = pictures(len(HOSTILE), 3, names=HOSTILE)
    for row in range(len(HOSTILE)):
        assert picture_of(image_set, row, str(tmp_path)).thumbnail("x")
