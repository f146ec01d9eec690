"""Start from the weights of another model, except those of its head."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from crossent.config import FIELDS, Settings, flat_values, with_values
from crossent.errors import UserError
from crossent.model_file import KIND, model_path
from crossent.tensor_file import load_weights, read_tensors
from data.preprocess import Preprocessing
from models import published
from models.head import is_of_head

FOLLOWED = ("data.image_size", "data.mean", "data.std", "model.name", "model.width")


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights by name, and those of the settings `FOLLOWED` that they need."""

    path: Path
    tensors: dict[str, Tensor]
    settings: dict[str, Any]  # {"model.name": "resnet9", ...}


def read_pretrained(weights: str, model_name: str) -> PretrainedWeights:
    """Read the weights that `model.weights` names.

    Args:
        weights: DEFAULT for the weights that the authors of the model publish; a run folder or its
            model file.
        model_name: as in the settings.

    Raises:
        UserError: the file is missing, damaged or not a model; or the download fails.
    """
    path = model_path(Path(weights))
    try:
        if weights == "DEFAULT":
            known = published(model_name)
            if known is None:
                raise ValueError(
                    f"{model_name} has no DEFAULT weights; set model.name=efficientnet_lite0, "
                    "or name a run"
                )
            return PretrainedWeights(path, known.load(), in_settings(vars(known)))
        tensors, header = read_tensors(path, KIND)
        described = in_settings(header["preprocessing"], header["model"])
        return PretrainedWeights(path, tensors, described)
    except ValueError as error:
        raise UserError(f"model.weights: {error}") from None


def in_settings(preprocessing: Mapping[str, Any], model: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Return the description of a model as settings by dotted name."""
    found = {f"data.{name}": preprocessing[name] for name in ("image_size", "mean", "std")}
    own = model | model.get("arguments", {})
    return found | {f"model.{name}": own[name] for name in ("name", "width") if name in own}


def load_body(model: nn.Module, weights: PretrainedWeights) -> None:
    """Load the weights into a model of the same architecture, except those of its head."""
    head = {n: t for n, t in model.state_dict().items() if is_of_head(model, n)}
    body = {n: t for n, t in weights.tensors.items() if not is_of_head(model, n)}
    try:
        load_weights(model, head | body, weights.path)
    except UserError as error:
        own = [f"{n}={value}" for n, value in weights.settings.items() if n.startswith("model.")]
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
    theirs = read_pretrained(weights, settings.model.name).settings if weights else {}
    given = {name: value for name, value in values.items() if value is not None}
    found = in_settings(vars(Preprocessing(64))) | given | theirs
    return with_values(settings, {name: found[name] for name in names})
