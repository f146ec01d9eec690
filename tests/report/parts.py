"""A run folder made in milliseconds, for the tests of the report."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import torch

from crossent.config import Settings, to_yaml
from crossent.model_file import write_model
from crossent.report.report import write_report
from crossent.tensor_file import write_tensors
from crossent.training.run_folder import RunFolder, write_json
from data.images import Data, ImageSet
from data.preprocess import Preprocessing
from models import build_model

CPU = torch.device("cpu")
SIZE = 32
HOSTILE = [
    "<script>alert(1)</script>.jpg", '"><img src=x onerror=alert(2)>.jpg', "' onclick='x.jpg",
    "</script><script>alert(3)", "<!--", "&lt;b&gt;.jpg", "a\x00\udcff\u202e.jpg", "名前.jpg",
    "${x}{{y}}.jpg", "javascript:alert(4)", "]]>", "http://example.com/x.jpg",
]  # fmt: skip


def pictures(num, num_classes, seed=0, names=None):
    """Return noise in a colour of its own for each class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % num_classes
    colours = np.random.default_rng(5).integers(40, 216, (num_classes, 1, 1, 3))
    images = (colours[labels] + rng.normal(0, 40, (num, SIZE, SIZE, 3))).clip(0, 255)
    names = names or [f"class/picture {i}.jpg" for i in range(num)]
    return ImageSet(images.astype(np.uint8), labels, names)


def make_data(num_classes=3, num_val=12, class_names=None, names=None):
    return Data(
        train=pictures(20, num_classes, 1),
        val=pictures(num_val, num_classes, 2, names),
        class_names=class_names or [f"class {k}" for k in range(num_classes)],
        fingerprint="f" * 64,
        warnings=["dog has 3 times as many pictures as wolf"],
        summary="32 pictures",
    )


def epoch_record(epoch):
    return {
        "kind": "epoch", "epoch": epoch, "step": 3 * epoch, "lr": 0.1 / epoch,
        "train": {"E": 1.1 / epoch, "accuracy": 0.5}, "val": {"E": 1.0 / epoch, "accuracy": 0.6},
        "images_per_s": 50.0, "elapsed_s": 2.0 * epoch,
    }  # fmt: skip


def make_folder(path: Path, data: Data, epochs=3):
    """Make the folder of a run after `epochs` epochs, with its model if there is one epoch."""
    num_classes = len(data.class_names)
    folder = RunFolder(path)
    folder.create(to_yaml(Settings(data={"num_images": 30})))
    write_json(folder.environment, {"git_revision": "abc+changes", "data_fingerprint": "f" * 64})
    start = {
        "kind": "start", "E": np.log(num_classes), "baseline": np.log(num_classes),
        "class_names": data.class_names, "num_params": 5,
        "num_images": {"train": len(data.train), "val": len(data.val), "unusable": 0},
    }  # fmt: skip
    for record in (start, *map(epoch_record, range(1, epochs + 1))):
        folder.append(record)
    if epochs:
        torch.manual_seed(0)
        model = build_model("small_cnn", num_classes, width=2)
        torch.nn.init.normal_(model.head.weight, std=3.0)
        header = {
            "class_names": data.class_names,
            "model": {"name": "small_cnn", "arguments": {"width": 2}},
            "preprocessing": Preprocessing(SIZE).to_dict(),
            "precision": "fp32",
            "settings": Settings().model_dump(mode="json"),
            "metrics": {"epoch": epochs},
        }
        write_model(folder.model, model.state_dict(), header)
    num_train = len(data.train)
    samples = {
        "samples.total": torch.linspace(1, 9, num_train).double(),
        "samples.count": torch.ones(num_train),
    }
    write_tensors(folder.last, samples, {"kind": "checkpoint"})
    return folder


def make_page(path: Path, data: Data, **options):
    """Return the HTML of the report of such a run."""
    folder = make_folder(path, data, **options)
    write_report(folder, CPU, data)
    return folder.report.read_text(encoding="utf-8")


class Page(HTMLParser):
    """The elements and the text that a browser would find on a page."""

    def __init__(self, html):
        super().__init__()
        self.elements = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self):
        return [a["id"] for _, a in self.elements if "id" in a]
