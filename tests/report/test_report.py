import re
import unicodedata

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from PIL import Image

from crossent.build import make_batches
from crossent.config import load_settings
from crossent.evaluation.scores import Outputs
from crossent.inference.heatmap import to_shape
from crossent.report.page import ENVIRONMENT
from crossent.report.pictures import Gallery, first_batch, in_words
from crossent.report.report import write_report
from crossent.training.distributed import ALONE
from data.images import ImageSet, Unusable
from tests.evaluation.parts import CLASS_NAMES, CPU, classifier_of, crossent, train
from tests.report.parts import HOSTILE, Page, make_data, make_folder, make_page, pictures

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
    page.check_nothing_is_loaded_or_run()
    assert not re.search(r"@import|url\((?!#)", html)
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy and "script-src" not in policy
    assert len(page.ids) == len(set(page.ids))

    again = make_page(tmp_path / "b" / "run", make_data())
    assert again.replace(str(tmp_path / "b"), str(tmp_path / "a")) == html, "the same bytes"


def test_hostile_names_stay_text(tmp_path):
    data = make_data(class_names=HOSTILE[:3], names=HOSTILE)
    data.train.names[:12] = HOSTILE
    # listing files has made their names printable before this
    data.unusable.extend(Unusable(name, name) for name in HOSTILE if "\udcff" not in name)
    data.warnings.extend(HOSTILE)
    page = Page(make_page(tmp_path / "run", data))
    page.check_nothing_is_loaded_or_run()
    assert HOSTILE[0] in page.text, "and it can be read"


def test_one_validation_picture_is_enough(tmp_path):
    html = make_page(tmp_path / "run", make_data(num_val=1))
    assert {*Page(html).ids} >= PARTS and "nothing to measure it on" in html


def test_a_run_that_has_just_begun(tmp_path):
    data = make_data()
    folder = make_folder(tmp_path / "run", data, epochs=0)
    write_report(folder, CPU, data)
    page = Page(folder.report.read_text())
    assert "No epoch is finished yet, so there is no model" in page.text
    assert "Not finished: 0 of 10 epochs" in page.text
    assert {*page.ids} & PARTS == PARTS - OF_MODEL
    folder.append({"kind": "end"})
    write_report(folder, CPU, data)
    assert "Epochs: 0; finished" in Page(folder.report.read_text()).text
    for path in (folder.metrics, folder.last, folder.environment):
        path.unlink()
    for given_data in (data, None):  # and those that the settings name cannot be found
        write_report(folder, CPU, given_data)
        assert "Training has not started yet" in folder.report.read_text()
    message = "is not a run folder: it has no config.yaml"
    folder.config.unlink()
    assert message in crossent("report", folder.path, status=2)[1]


def test_a_card_has_the_articles_numbers():
    """The worked example: y = (0.33, 0.32, 0.35), a dog; E = 1.108663."""
    image_set = ImageSet(np.full((1, 8, 8, 3), 99, np.uint8), np.array([0]), ["a.jpg"])
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 3))
    outputs = Outputs(np.log([[0.33, 0.32, 0.35]]), np.array([0]))
    card = Gallery(image_set, classifier_of(flat, 8), None).card(outputs, 0)
    assert card["title"] == "dog, predicted: wolf (wrong)"
    assert card["numbers"] == "y = 0.35; L = 0.33; E = -ln L = 1.1087 nats"


def test_a_model_without_a_feature_map_has_a_page_without_heat_maps(tmp_path, monkeypatch):
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3))
    classifier = classifier_of(flat, 32, metrics={"epoch": 3})
    monkeypatch.setattr("crossent.report.report.load_model", lambda path, device: classifier)
    page = Page(make_page(tmp_path / "run", make_data()))
    assert {*page.ids} >= PARTS
    assert "the picture" in page.text and "Grad-CAM" not in page.text


TEMPLATE = ENVIRONMENT.from_string('<p title="{{ x }}">{{ x }}</p>')


@hypothesis.given(st.text())
@hypothesis.settings(max_examples=50)
def test_any_text_comes_back_as_text(text):
    page = Page(TEMPLATE.render(x=text).encode().decode())
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
def test_the_preview_shows_pictures_and_labels_of_training(mixup):
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
    [(1, "fox"), ([0, 0.004, 0.996], "wolf"), ([0.3, 0, 0.7], "wolf 70%, dog 30%")],
)
def test_shares_are_shown_only_for_a_mixed_label(target, words):
    assert in_words(torch.tensor(target), CLASS_NAMES) == words


def test_the_command_writes_a_picture_and_keeps_no_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out, _ = train("--preview", "data.num_images=30", "data.image_size=32")
    assert "preview.png: 12 pictures" in out
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]
    with Image.open("preview.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 20
