"""configs/pretrained.yaml with its real weights, on drawings, in several commands."""

import json
import math

import pytest
import torch
from PIL import Image

from crossent.__main__ import main
from crossent.inference.heatmap import grad_cam
from crossent.model_file import load_model
from data.drawings import draw, label
from models import published
from models.head import is_of_head
from tests.forked import Command

CLASS_NAMES = ["dog", "fox", "wolf"]
NUM_DRAWINGS, SIZE = 90, 160  # at 224 pixels it would take long


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the run, and its folder of drawings."""
    root = tmp_path_factory.mktemp("pretrained")
    for index in range(NUM_DRAWINGS):
        path = root / "pictures" / CLASS_NAMES[label(index)] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(0, index, SIZE)).save(path)
    words = ["-c", "configs/pretrained.yaml", f"data.root={root / 'pictures'}"]
    words += [f"data.image_size={SIZE}", "train.threads=1", "--out", root / "run"]
    Command(root, *words).end(status=0, timeout_s=280)
    return root / "run", root / "pictures"


@pytest.fixture
def crossent(capsys):
    def call(*words):
        assert main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    return call


def test_E_starts_at_ln_K_and_falls_and_only_the_head_learns(trained):
    run, _ = trained
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    E = [record["val"]["E"] for record in records if record["kind"] == "epoch"]
    assert records[0]["E"] == pytest.approx(math.log(3), abs=1e-6)
    assert max(E) < math.log(3) and E[-1] < 0.8 * math.log(3)
    model = load_model(run, torch.device("cpu")).model
    theirs = published("efficientnet_lite0").load()
    for name, tensor in model.state_dict().items():
        assert is_of_head(model, name) or torch.equal(tensor, theirs[name]), name


def test_its_model_works_in_other_commands(trained, crossent):
    run, pictures = trained
    found = json.loads(crossent("evaluate", run, "--json", "--device=cpu"))
    assert found["num_images"] >= NUM_DRAWINGS / 5 and found["accuracy"]["value"] > 0.6
    first = next(iter((pictures / "fox").iterdir()))
    answer = json.loads(crossent("predict", run, first, "--json"))
    assert sum(answer["probs"].values()) == pytest.approx(1, abs=1e-6)
    text = crossent("explain", run, first, "--label=fox")
    assert "dE/dz_k = y_k - t_k" in text
    heat = grad_cam(load_model(run, torch.device("cpu")), draw(0, 1, SIZE), 1)
    assert heat.shape == (SIZE // 32, SIZE // 32) and heat.max() == 1


@pytest.mark.slow
def test_its_export_agrees(trained, crossent):
    run, _ = trained
    text = crossent("export", run)
    assert "the same class on all" in text
    assert float(text.partition("differ by ")[2].split()[0]) < 1e-4
