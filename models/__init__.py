"""The models: a plain dict of names. A new model is one file and one line."""

from typing import Any

from torch import nn

from models.small_cnn import SmallCNN

MODELS: dict[str, type[nn.Module]] = {
    "small_cnn": SmallCNN,
}

__all__ = ["MODELS", "SmallCNN", "build_model"]


def build_model(name: str, num_classes: int, **arguments: Any) -> nn.Module:
    """Build an untrained model that turns pictures into logits.

    Args:
        name: a key of `MODELS`.
        num_classes: K, the length of a row of logits.
        arguments: what the model's own `__init__` takes, such as `width`.

    Shape:
        the model maps (N, 3, S, S) float to (N, K) float logits, for any S of its choice.

    Raises:
        ValueError: the name is not known.
    """
    if name not in MODELS:
        raise ValueError(f"model {name!r} is not known; choose one of {', '.join(MODELS)}")
    return MODELS[name](num_classes=num_classes, **arguments)
