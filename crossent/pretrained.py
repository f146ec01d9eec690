"""Start from the weights of another model: all of them but its head."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from crossent.config import Settings
from crossent.errors import UserError
from crossent.tensor_file import check_finite, load_weights, read_tensors, read_unchecked
from data.preprocess import Preprocessing
from models.head import is_of_head
from models.torchvision_models import PREFIX, fetch, pretrained

DEFAULT = "DEFAULT"


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights by name, and the preprocessing that they were trained with."""

    path: Path
    tensors: dict[str, Tensor]
    preprocessing: Preprocessing | None  # None: the file does not say


def read_pretrained(weights: str, model_name: str) -> PretrainedWeights:
    """Read what `model.weights` names.

    Args:
        weights: DEFAULT, torchvision's own; a run folder or a model file of ours; any other
            safetensors file; a .pth file of torchvision's.
        model_name: as in the settings.

    Raises:
        UserError: the file is missing, damaged or of no known kind; or cannot be downloaded.
    """
    own = None  # torchvision's weights of that name, and what they expect
    if model_name.startswith(PREFIX):
        try:
            own = pretrained(model_name.removeprefix(PREFIX))
        except ValueError as error:
            raise UserError(f"model.name: {error}") from None
    expected = Preprocessing(own.image_size, own.mean, own.std) if own else None
    path = Path(weights)
    if weights == DEFAULT:
        if own is None:
            raise UserError(
                f"model.weights: {DEFAULT} is for torchvision's models, such as {PREFIX}resnet18; "
                f"for {model_name} name a run"
            )
        try:
            path = fetch(own)
        except ValueError as error:
            raise UserError(f"model.weights: {error}") from None
    path = path / "model.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"model.weights: {path} does not exist; name a run, a file or {DEFAULT}")
    if path.suffix in (".pth", ".pt"):
        return PretrainedWeights(path, read_pth(path), expected)
    tensors, encoded = read_unchecked(path)
    if "sha256_header" not in encoded:
        return PretrainedWeights(path, tensors, expected)
    tensors, header = read_tensors(path)  # a file of ours, with its checksums
    if "preprocessing" not in header:
        raise UserError(f"model.weights: {path} is no model; name the run's model.safetensors")
    return PretrainedWeights(path, tensors, Preprocessing.from_dict(header["preprocessing"]))


def read_pth(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth file.

    torchvision publishes its weights in no other format. It is the one place where a pickle is
    read, and only by torch's restricted reader: `weights_only` builds tensors and containers and
    calls nothing else. What this program writes holds no pickle.
    """
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch fails in many types here: pickle's, zipfile's, its own
        reason = str(error).partition("\n")[0][:120] or type(error).__name__
        raise UserError(
            f"model.weights: {path} is damaged or holds more than tensors ({reason})"
        ) from None
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise UserError(f"model.weights: {path} holds no weights by name; expected a state_dict")
    return dict(tensors)


def load_body(model: nn.Module, weights: PretrainedWeights) -> None:
    """Put the weights of the other model into this one; the head stays new.

    Raises:
        UserError: they are of another model, or not finite.
    """
    head = {n: t for n, t in model.state_dict().items() if is_of_head(model, n)}
    body = {n: t for n, t in weights.tensors.items() if not is_of_head(model, n)}
    check_finite(body, weights.path)
    try:
        load_weights(model, head | body, weights.path)
    except UserError as error:
        raise UserError(
            f"model.weights: {error}; set model.name and model.width to those of the weights"
        ) from None


def follow_weights(settings: Settings) -> Settings:
    """Fill in the preprocessing that was left open: that of the weights to start from.

    So the settings of a run are whole, and going on with it needs the weights no more.
    """
    data, model = settings.data, settings.model
    if None not in (data.image_size, data.mean, data.std):
        return settings
    base = Preprocessing(64)
    if model.weights is not None:  # read here already: better an error now than a folder half made
        base = read_pretrained(model.weights, model.name).preprocessing or base
    filled = {
        "image_size": data.image_size or base.image_size,
        "mean": data.mean or base.mean,
        "std": data.std or base.std,
    }
    return settings.model_copy(update={"data": data.model_copy(update=filled)})
