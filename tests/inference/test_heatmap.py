import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from crossent.inference.heatmap import evidence, grad_cam
from data.preprocess import Preprocessing
from models import build_model
from tests.evaluation.parts import classifier_of


def colours():
    """Return a model whose logits are the mean red and blue; the picture is its feature map."""
    layer, head = nn.Conv2d(3, 3, 1, bias=False), nn.Linear(3, 2, bias=False)
    layer.weight.data = torch.eye(3).view(3, 3, 1, 1)
    head.weight.data = torch.eye(3)[[0, 2]]
    pool = nn.AdaptiveAvgPool2d(1)  # its output (N, C, 1, 1) is no map
    return classifier_of(nn.Sequential(layer, nn.ReLU(), pool, nn.Flatten(), head), 16)


@pytest.mark.parametrize(("k", "side"), [(0, slice(0, 8)), (1, slice(8, 16))])
def test_the_map_is_the_evidence_for_the_class_asked_for(k, side):
    classifier, pixels = colours(), np.zeros((16, 16, 3), np.uint8)
    pixels[:, :8, 0] = pixels[:, 8:, 2] = 255  # red on the left, blue on the right
    expected = torch.zeros(16, 16)
    expected[:, side] = 1
    assert torch.equal(grad_cam(classifier, pixels, k), expected)
    lit = np.asarray(evidence(classifier, pixels, k, Image.fromarray(pixels))).astype(int)
    left, right = lit[:, :6].sum(), lit[:, 10:].sum()
    assert left > 3 * right if k == 0 else right > 3 * left, "the other half is dark"


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0)], ids=["everywhere", "nowhere"])
def test_a_map_without_a_highlighted_place_is_left_out(colour):
    pixels = np.full((16, 16, 3), colour, np.uint8)
    assert evidence(colours(), pixels, 0, Image.fromarray(pixels)) is None


def test_the_map_is_what_y_minus_t_gives_by_hand():
    """After the mean over the map comes one linear layer: E falls by (t - y) W per channel."""
    torch.manual_seed(0)
    model = build_model("small_cnn", 3, width=2).eval()
    nn.init.normal_(model.head.weight)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    x = Preprocessing(32).normalise(torch.from_numpy(pixels)[None])
    for k in (1, 2):
        with torch.no_grad():
            features = model.features(x)  # (1, C, 2, 2)
            y = model.head(features.mean(dim=(2, 3))).softmax(dim=1)
            weights = (torch.eye(3)[[k]] - y) @ model.head.weight  # (1, C)
            heat = torch.einsum("nc,nchw->hw", weights, features).relu()
        assert heat.max() > 0
        found = grad_cam(classifier_of(model, 32), pixels, k)
        torch.testing.assert_close(found, heat / heat.max(), atol=1e-5, rtol=1e-5)


def test_a_model_without_a_map_gives_none():
    """The picture itself has a height and a width but no gradient, so it is no feature map."""
    flat = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
    assert grad_cam(classifier_of(flat, 16), np.zeros((16, 16, 3), np.uint8), 0) is None
