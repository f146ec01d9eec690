"""timm's models and their weights, where timm is installed."""

import logging
from functools import partial

from torch import Tensor, nn

from models.head import head_name
from models.published import Published


def names() -> list[str]:
    """Return the names that may follow "timm/".

    Raises:
        ValueError: timm is not installed.
    """
    try:
        import timm
    except ImportError:
        raise ValueError("models of timm need the package: pip install timm") from None
    found: list[str] = timm.list_models()
    return found


def create(name: str) -> nn.Module:
    """Build an untrained model with timm's own head.

    Raises:
        ValueError: the head is not a linear layer.
    """
    import timm

    model: nn.Module = timm.create_model(name)
    if model.get_classifier() is not model.get_submodule(head_name(model)):  # type: ignore[operator]
        raise ValueError(f"timm/{name} does not end in a linear layer")
    return model


def published(name: str) -> Published:
    """Return the weights of timm's hub, where it keeps them."""
    import timm

    config = timm.get_pretrained_cfg(name)
    return Published(config.input_size[-1], config.mean, config.std, partial(load, name))


def load(name: str) -> dict[str, Tensor]:
    import timm

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # not a line per attempt
    try:
        weights: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # of the network, of the hub, of the file
        reason = str(error).partition("\n")[0]
        raise ValueError(f"timm cannot load the weights of {name} ({reason})") from None
    return weights
