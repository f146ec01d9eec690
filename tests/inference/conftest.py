"""A model with random weights in a file, and pictures to predict."""

import numpy as np
import pytest
from PIL import Image

from crossent.evaluation.confidence import rejection_curve
from crossent.model_file import load_model
from tests.data.pictures import scene
from tests.evaluation.parts import CPU, write_random


@pytest.fixture(scope="session")
def run_path(tmp_path_factory):
    """Return a run folder with nothing but its model."""
    path = tmp_path_factory.mktemp("random")
    rng = np.random.default_rng(0)
    confidence = rng.uniform(1 / 3, 1, 60)
    right = rng.uniform(0.2, 1, 60) < confidence  # the more confident, the more often
    curve = rejection_curve(confidence, right)
    metrics = {"E": 1.0, "accuracy": 0.5, "num_images": 60, "rejection": curve}
    write_random(path / "model.safetensors", ["dog", "fox", "wolf"], metrics)
    return path


@pytest.fixture(scope="session")
def classifier(run_path):
    return load_model(run_path, CPU)


@pytest.fixture
def pictures(tmp_path):
    """Make five pictures in two folders, a hidden file, a text, and one that is no picture."""
    root = tmp_path / "pictures"
    for number, name in enumerate(["b/0.png", "b/1.jpg", "a/2.png", "a/3.jpg", "a/4.webp"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        scene(number, 40 + 20 * number, 64).save(root / name)
    Image.new("RGB", (8, 8)).save(root / "a" / ".hidden.png")
    (root / "a" / "readme.txt").touch()
    (root / "b" / "page.jpg").write_text("<html>not a picture</html>")
    return root
