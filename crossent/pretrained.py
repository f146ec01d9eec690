"""Start from the weights of another model, except those of its head."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from crossent.config import FIELDS, Settings, flat_values, with_values
from crossent.errors import UserError
from crossent.model_file import MODEL, load_weights, model_path, read_tensors
from data.preprocess import Preprocessing
from models import published
from models.head import is_of_head

FOLLOWED = ("data.image_size", "data.mean", "data.std", "model.name", "model.width")


def read_pretrained(weights: str, model_name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return weights by name, and the settings that they need: {"model.name": "resnet9", ...}.

    Args:
        weights: DEFAULT for the weights that the authors of the model publish; a run folder or its
            model file.
        model_name: as in the settings.

    Raises:
        UserError: the file is missing, damaged or not a model; or the download fails.
    """
    try:
        if weights != "DEFAULT":
            tensors, header = read_tensors(model_path(Path(weights)), MODEL)
            model = header["model"]
            return tensors, in_settings(header["preprocessing"] | model | model["arguments"])
        known = published(model_name)
        if known is None:
            raise ValueError(
                f"{model_name} has no DEFAULT weights; set model.name=efficientnet_lite0, "
                "or name a run"
            )
        return known.load(), in_settings(vars(known))
    except ValueError as error:
        raise UserError(f"model.weights: {error}") from None


def in_settings(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model's description says about the settings `FOLLOWED`."""
    keys = {name: name.partition(".")[2] for name in FOLLOWED}
    return {name: description[key] for name, key in keys.items() if key in description}


def load_body(model: nn.Module, weights: str, model_name: str) -> None:
    """Load weights (see `read_pretrained`) of the same architecture, except those of its head."""
    tensors, needed = read_pretrained(weights, model_name)
    head = {n: t for n, t in model.state_dict().items() if is_of_head(model, n)}
    body = {n: t for n, t in tensors.items() if not is_of_head(model, n)}
    try:
        load_weights(model, head | body, Path(weights))
    except UserError as error:
        own = [f"{n}={value}" for n, value in needed.items() if n.startswith("model.")]
        own = own or ["model.name and model.width to those of the weights"]
        raise UserError(f"model.weights: {error}; set {' '.join(own)}") from None


def follow_weights(settings: Settings, kept: Collection[str] = FIELDS) -> Settings:
    """Set the settings of `FOLLOWED` that are null, or not in `kept`, to what the weights need.

    Without weights, null becomes the default. A resumed run does not need the file of the weights.
    """
    values, weights = flat_values(settings), settings.model.weights
    names = [n for n in FOLLOWED if values[n] is None or (weights and n not in kept)]
    if not names:
        return settings
    needed = read_pretrained(weights, settings.model.name)[1] if weights else {}
    given = {name: value for name, value in values.items() if value is not None}
    found = in_settings(vars(Preprocessing(64))) | given | needed
    return with_values(settings, {name: found[name] for name in names})
