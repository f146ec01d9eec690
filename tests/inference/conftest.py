"""A model with random weights in a file, and pictures to predict."""

import numpy as np
import pytest
import torch
from PIL import Image

from crossent.errors import run_main
from crossent.evaluation.confidence import rejection_curve
from crossent.model_file import load_model, write_model
from data.preprocess import Preprocessing
from models import build_model
from tests.data.pictures import scene

CLASS_NAMES = ["dog", "fox", "wolf"]
SIZE = 32
NUM_IMAGES = 60


@pytest.fixture(scope="session")
def run_path(tmp_path_factory):
    """Return a run folder with nothing but its model."""
    torch.manual_seed(0)
    arguments = {"width": 4, "dropout": 0.0}
    model = build_model("small_cnn", 3, **arguments).train()
    torch.nn.init.normal_(model.head.weight, std=2.0)
    with torch.no_grad():
        for _ in range(30):  # for the statistics of batch normalisation
            model(torch.randn(16, 3, SIZE, SIZE))
    path = tmp_path_factory.mktemp("runs") / "random"
    path.mkdir()
    rng = np.random.default_rng(0)
    confidence = rng.uniform(1 / 3, 1, NUM_IMAGES)
    right = rng.uniform(0.2, 1, NUM_IMAGES) < confidence  # the more confident, the more often
    metrics = {"E": 1.0, "accuracy": 0.5, "num_images": NUM_IMAGES}
    header = {
        "class_names": CLASS_NAMES,
        "model": {"name": "small_cnn", "arguments": arguments},
        "preprocessing": Preprocessing(SIZE).to_dict(),
        "precision": "fp32",
        "settings": {},
        "metrics": {**metrics, "rejection": rejection_curve(confidence, right)},
        "data_fingerprint": "none",
    }
    write_model(path / "model.safetensors", model.state_dict(), header)
    return path


@pytest.fixture(scope="session")
def classifier(run_path):
    return load_model(run_path, torch.device("cpu"))


@pytest.fixture
def pictures(tmp_path):
    """Make five pictures in two folders, a hidden file, and one that is no picture."""
    root = tmp_path / "pictures"
    for number, name in enumerate(["b/0.png", "b/1.jpg", "a/2.png", "a/3.jpg", "a/4.webp"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        scene(number, 40 + 20 * number, 64).save(root / name)
    Image.new("RGB", (8, 8)).save(root / "a" / ".hidden.png")
    (root / "b" / "page.jpg").write_text("<html>not a picture</html>")
    return root


@pytest.fixture
def crossent(capsys):
    """Call a command within this process; return standard output and error."""
    from crossent.__main__ import main

    def call(*words, status=0):
        assert run_main(main, [str(word) for word in words]) == status
        captured = capsys.readouterr()
        return captured.out, captured.err

    return call
