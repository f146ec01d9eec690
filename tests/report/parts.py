"""A run folder made in milliseconds, for the tests of the report."""

from html.parser import HTMLParser

import numpy as np
import torch

from crossent.config import Settings, to_yaml
from crossent.model_file import write_tensors
from crossent.report.report import write_report
from crossent.training.run_folder import RunFolder, write_json
from data.images import Data, ImageSet
from tests.evaluation.parts import CPU, write_random

HOSTILE = [
    "<script>alert(1)</script>.jpg", '"><img src=x onerror=alert(2)>.jpg', "' onclick='x.jpg",
    "</script><script>alert(3)", "<!--", "&lt;b&gt;.jpg", "a\x00\udcff\u202e.jpg", "名前.jpg",
    "${x}{{y}}.jpg", "javascript:alert(4)", "]]>", "http://example.com/x.jpg",
]  # fmt: skip


def pictures(num, num_classes, names=None):
    """Return noise in a colour of its own for each class."""
    rng, labels = np.random.default_rng(num), np.arange(num) % num_classes
    colours = np.random.default_rng(5).integers(40, 216, (num_classes, 1, 1, 3))
    images = (colours[labels] + rng.normal(0, 40, (num, 32, 32, 3))).clip(0, 255)
    names = names or [f"class/picture {i}.jpg" for i in range(num)]
    return ImageSet(images.astype(np.uint8), labels, names)


def make_data(num_classes=3, num_val=12, class_names=None, names=None):
    class_names = class_names or [f"class {k}" for k in range(num_classes)]
    train, val = pictures(20, num_classes), pictures(num_val, num_classes, names)
    warnings = ["dog has 3 times as many pictures as wolf"]
    return Data(train, val, class_names, "f" * 64, warnings=warnings, summary="32 pictures")


def epoch_record(epoch):
    return {
        "kind": "epoch", "epoch": epoch, "step": 3 * epoch, "lr": 0.1 / epoch,
        "train": {"E": 1.1 / epoch, "accuracy": 0.5}, "val": {"E": 1.0 / epoch, "accuracy": 0.6},
        "images_per_s": 50.0, "elapsed_s": 2.0 * epoch,
    }  # fmt: skip


def make_folder(path, data, epochs=3):
    """Make the folder of a run after `epochs` epochs, with its model if there is one epoch."""
    folder = RunFolder(path)
    folder.create(to_yaml(Settings(data={"num_images": 30})))
    write_json(folder.environment, {"git_revision": "abc+changes", "data_fingerprint": "f" * 64})
    ln_K = np.log(len(data.class_names))
    start = {
        "kind": "start", "E": ln_K, "baseline": ln_K, "class_names": data.class_names,
        "num_params": 5, "num_images": {"train": len(data.train), "val": 12, "unusable": 0},
    }  # fmt: skip
    for record in (start, *map(epoch_record, range(1, epochs + 1))):
        folder.append(record)
    if epochs:
        write_random(folder.model, data.class_names, {"epoch": epochs})
    num = len(data.train)
    samples = {
        "samples.total": torch.linspace(1, 9, num).double(), "samples.count": torch.ones(num),
    }  # fmt: skip
    write_tensors(folder.last, samples, {"kind": "checkpoint"})
    return folder


def make_page(path, data, **options):
    """Return the HTML of the report of such a run."""
    folder = make_folder(path, data, **options)
    write_report(folder, CPU, data)
    return folder.report.read_text(encoding="utf-8")


class Page(HTMLParser):
    """The elements and the text that a browser would find on a page."""

    def __init__(self, html):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(html)
        self.ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def check_nothing_is_loaded_or_run(self):
        for tag, attributes in self.elements:
            assert tag not in ("script", "link")
            assert attributes.get("src", "data:image/jpeg").startswith("data:image/jpeg")
            assert attributes.get("xlink:href", "#").startswith("#")
            assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
