"""Start from the weights of another model: all of them but its head."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from crossent.config import Settings
from crossent.errors import UserError
from crossent.model_file import model_path
from crossent.tensor_file import check_finite, load_weights, read_tensors, read_unchecked
from data.preprocess import Preprocessing
from models import published
from models.head import is_of_head
from models.published import read_pth

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
        weights: DEFAULT, those that the authors of the model publish; a run folder or a model file
            of ours; any other safetensors file; a .pth file.
        model_name: as in the settings.

    Raises:
        UserError: the file is missing, damaged or of no known kind; or cannot be downloaded.
    """
    path = model_path(Path(weights))
    try:
        known = published(model_name)
        expected = Preprocessing(known.image_size, known.mean, known.std) if known else None
        if weights == DEFAULT:
            if known is None:
                raise ValueError(f"{model_name} has no weights called {DEFAULT}; name a run")
            return PretrainedWeights(path, known.load(), expected)
        if not path.is_file():
            raise ValueError(f"{path} does not exist; name a run, a file or {DEFAULT}")
        if path.suffix in (".pth", ".pt"):
            return PretrainedWeights(path, read_pth(path), expected)
    except ValueError as error:
        raise UserError(f"model.weights: {error}") from None
    tensors, encoded = read_unchecked(path)
    if "sha256_header" not in encoded:
        return PretrainedWeights(path, tensors, expected)
    tensors, header = read_tensors(path)  # a file of ours, with its checksums
    if "preprocessing" not in header:
        raise UserError(f"model.weights: {path} is not a model; name the run's model.safetensors")
    return PretrainedWeights(path, tensors, Preprocessing.from_dict(header["preprocessing"]))


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

    The settings of a run are then complete, and resuming it does not need the weights.
    """
    data, model = settings.data, settings.model
    if None not in (data.image_size, data.mean, data.std):
        return settings
    base = Preprocessing(64)
    if model.weights is not None:  # before anything is written, in case they cannot be read
        base = read_pretrained(model.weights, model.name).preprocessing or base
    filled = {
        "image_size": data.image_size or base.image_size,
        "mean": data.mean or base.mean,
        "std": data.std or base.std,
    }
    return settings.model_copy(update={"data": data.model_copy(update=filled)})
