"""Models of torchvision and timm with a new head: they start at ln K; only what may learn does."""

import math
import sys

import pytest
import torch
from torchvision import models

from crossent import cross_entropy
from models import build_model, libraries, published
from models.head import freeze_body, head_name, is_of_head, train_mode


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "efficientnet_b0"]
)
def test_the_new_head_starts_at_ln_K(name):
    torch.manual_seed(0)
    model = build_model(f"torchvision/{name}", 5, dropout=0.1).train()
    logits = model(torch.randn(4, 3, 64, 64))
    assert logits.shape == (4, 5)
    E = cross_entropy(logits, torch.arange(4))
    assert E.item() == pytest.approx(math.log(5), abs=1e-6)


@pytest.mark.parametrize(
    "name", ["alexnet", "vgg11", "mnasnet0_5", "mobilenet_v2", "convnext_tiny", "vit_b_16"]
)
def test_the_head_is_the_layer_that_torchvision_makes_for_the_classes(name):
    assert name in libraries.names("torchvision")
    with torch.device("meta"):  # without the numbers, which would take gigabytes
        model = models.get_model(name, weights=None, num_classes=7)
    assert model.get_submodule(head_name(model)).out_features == 7


@pytest.mark.parametrize("name", ["small_cnn", "efficientnet_lite0", "torchvision/efficientnet_b0"])
def test_a_frozen_body_stays_as_it_was_down_to_batch_normalisation(name):
    torch.manual_seed(0)
    model = build_model(name, 3)
    freeze_body(model)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1)
    train_mode(model)
    images = torch.randn(4, 3, 32, 32)
    assert torch.equal(model(images), model(images)), "nothing in the body is random"
    cross_entropy(model(images), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {n for n, _ in model.named_parameters() if is_of_head(model, n)}


def test_train_mode_of_a_model_that_learns_is_that_of_torch():
    model = build_model("small_cnn", 3).eval()
    train_mode(model)
    assert all(module.training for module in model.modules())


def test_an_unknown_name_is_answered_with_similar_ones():
    with pytest.raises(ValueError, match="did you mean torchvision/resnet18"):
        build_model("torchvision/resnet-18", 3)


def test_a_model_of_timm_without_timm_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match="pip install timm"):
        build_model("timm/resnet18", 3)


def test_a_model_of_timm_gets_our_head():
    pytest.importorskip("timm")
    model = build_model("timm/resnet18", 3, dropout=0.1)
    assert not model(torch.randn(2, 3, 32, 32)).any() and model.fc.dropout == 0.1
    assert published("timm/resnet18").image_size == 224
    with pytest.raises(ValueError, match="does not end in a linear layer"):
        build_model("timm/levit_128", 3)


def test_default_weights_know_their_preprocessing():
    found = published("torchvision/resnet18")
    assert (found.image_size, found.mean[0], found.std[0]) == (224, 0.485, 0.229)
