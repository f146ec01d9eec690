import math

import pytest
import torch

from crossent import cross_entropy
from models import MODELS, arguments_of, build_model
from models.head import head_name
from models.small_cnn import Stage


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("num_classes", [2, 3, 11])
def test_an_untrained_model_starts_at_ln_K_exactly(name, num_classes):
    model = build_model(name, num_classes).train()
    logits = model(torch.randn(4, 3, 64, 64))
    assert logits.shape == (4, num_classes)
    E = cross_entropy(logits, torch.arange(4) % num_classes)
    assert E.item() == pytest.approx(math.log(num_classes), abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_all_parameters_learn(name):
    """The zeros of the start hold back the layers behind them for a step or two, not for ever."""
    torch.manual_seed(0)
    small = {"width": 4} if "width" in arguments_of(name) else {}
    model = build_model(name, 3, **small).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, target = torch.randn(6, 3, 32, 32), torch.arange(6) % 3
    for _ in range(3):
        optimizer.zero_grad()
        cross_entropy(model(images), target).backward()
        optimizer.step()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_small_cnn_has_less_than_a_million_parameters():
    num_params = sum(p.numel() for p in build_model("small_cnn", 3).parameters())
    assert 300_000 < num_params < 1_000_000


@pytest.mark.parametrize("name", ["small_cnn", "torchvision/resnet18"])
def test_logits_keep_their_precision_in_bf16(name):
    """A bf16 logit has 8 bits: rounding it would blur E in the third digit."""
    torch.manual_seed(0)
    model = build_model(name, 3).eval()
    torch.nn.init.normal_(model.get_submodule(head_name(model)).weight)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = model(torch.randn(2, 3, 64, 64))
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="model 'big_cnn' is not known; choose one of small_cnn"):
        build_model("big_cnn", 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_relu_behind_the_pooling_is_one_before_it_to_the_bit(dtype):
    torch.manual_seed(0)
    stage = Stage(3, 8)
    torch.nn.init.normal_(stage[1].weight)  # of both signs
    torch.nn.init.normal_(stage[1].bias)
    conv, norm, pool, relu = stage
    found = []
    for layers in ([conv, norm, pool, relu], [conv, norm, relu, pool]):
        torch.manual_seed(1)
        x = torch.randn(4, 3, 8, 8, requires_grad=True)
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            y = torch.nn.Sequential(*layers)(x)
        (y * torch.randn(y.shape)).sum().backward()
        found.append((y, x.grad))
    (values, grads), (other_values, other_grads) = found
    assert torch.equal(values, other_values) and torch.equal(grads, other_grads)
    assert (values == 0).any() and (values > 0).any()
