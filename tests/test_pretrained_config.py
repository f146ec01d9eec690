"""configs/pretrained.yaml with its real weights, on tinted pictures, in several commands."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from crossent.inference.heatmap import grad_cam
from crossent.model_file import load_model
from crossent.training.run_folder import RunFolder
from models import published
from models.head import is_of_head
from tests.data.pictures import make_folder
from tests.forked import Command
from tests.training.parts import CPU

SIZE = 96  # at 224 pixels it would take long
COLOURS = {"dog": "brown", "fox": "orange", "wolf": "grey"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the run, and its folder of pictures."""
    root = tmp_path_factory.mktemp("pretrained")
    pictures = make_folder(root / "pictures", dict.fromkeys(COLOURS, 15))
    for path in pictures.rglob("*.jpg"):
        with Image.open(path) as picture:
            tint = Image.new("RGB", picture.size, COLOURS[path.parent.name])
            Image.blend(picture, tint, 0.6).save(path)
    words = ["-c", "configs/pretrained.yaml", f"data.root={pictures}", f"data.image_size={SIZE}"]
    words += ["train.threads=1", "train.epochs=3", "optim.lr=0.003", "--out", root / "run"]
    Command(root, *words).end(status=0, timeout_s=280)
    return RunFolder(root / "run"), pictures


def test_E_starts_at_ln_K_and_falls_and_only_the_head_learns(trained):
    start, *epochs, _ = trained[0].records()
    E = [record["val"]["E"] for record in epochs]
    assert start["E"] == pytest.approx(math.log(3), abs=1e-6)
    assert max(E) < math.log(3) and E[-1] < 0.8 * math.log(3)
    theirs = published("efficientnet_lite0").load()
    model = load_model(trained[0].path, CPU).model
    for name, tensor in model.state_dict().items():
        assert is_of_head(model, name) or torch.equal(tensor, theirs[name]), name


def test_its_model_works_in_other_commands(trained, command):
    run, pictures = trained[0].path, trained[1]
    found = json.loads(command("crossent", "evaluate", run, "--json", "--device=cpu").out)
    assert found["num_images"] >= 9 and found["accuracy"]["value"] > 0.6
    first = next(iter((pictures / "fox").iterdir()))
    answer = json.loads(command("crossent", "predict", run, first, "--json").out)
    assert sum(answer["probs"].values()) == pytest.approx(1, abs=1e-6)
    assert "dE/dz_k = y_k - t_k" in command("crossent", "explain", run, first, "--label=fox").out
    heat = grad_cam(load_model(run, CPU), np.asarray(Image.open(first)), 1)
    assert heat.shape == (64 // 32, 96 // 32) and heat.max() == 1


@pytest.mark.minutes
def test_its_export_agrees(trained, command):
    out = command("crossent", "export", trained[0].path).out
    assert "the same class on all" in out
    assert float(out.partition("differ by ")[2].split()[0]) < 1e-4
