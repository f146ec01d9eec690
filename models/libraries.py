"""Models of torchvision and timm, and the weights that the authors of a model publish."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LIBRARIES = {"torchvision": "torchvision.models", "timm": "timm"}  # imported when needed
# Models without a final linear layer, with a second output, or with old names of their weights.
UNSUPPORTED = ("squeezenet", "inception", "googlenet", "densenet")


@dataclass(frozen=True)
class Published:
    """The weights that `model.weights=DEFAULT` names, and the preprocessing they need."""

    image_size: int  # pixels, both sides
    mean: tuple[float, float, float]  # of RGB values from 0 to 1
    std: tuple[float, float, float]
    load: Callable[[], dict[str, Tensor]]  # raises ValueError if they cannot be loaded


def module_of(library: str) -> Any:
    try:
        return import_module(LIBRARIES[library])
    except ImportError:
        raise ValueError(f"models of {library} need the package: pip install {library}") from None


def names(library: str) -> list[str]:
    """Return the names that may follow "torchvision/" or "timm/"."""
    module = module_of(library)
    if library == "timm":
        return list(module.list_models())
    return [n for n in module.list_models(module=module) if not n.startswith(UNSUPPORTED)]


def load_timm(name: str) -> dict[str, Tensor]:
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # no line per attempt
    try:
        return dict(module_of("timm").create_model(name, pretrained=True).state_dict())
    except Exception as error:  # of the network, of the hub, of the file
        reason = str(error).partition("\n")[0]
        raise ValueError(f"timm cannot load the weights of {name} ({reason})") from None


def download(url: str) -> dict[str, Tensor]:
    """Return weights of torchvision, downloaded once and stored in the cache folder of torch."""
    path = Path(torch.hub.get_dir(), "checkpoints", Path(url).name)
    if not path.is_file():
        sha256_start = path.stem.rpartition("-")[2]  # resnet18-f37072fd.pth
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), sha256_start, progress=False)
        except (OSError, RuntimeError) as error:
            advice = f"get {url} on another machine and put it at {path}"
            raise ValueError(f"the weights cannot be downloaded ({error}); {advice}") from None
    return read_pth(path)


def read_pth(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .pth file, the format in which many weights are published.

    No other function of ours reads a pickle. torch's restricted reader, `weights_only`, builds
    tensors and containers and calls nothing else. This program never writes a pickle.

    Raises:
        ValueError: the file is damaged, or contains more than tensors by name.
    """
    try:
        return {n: t.detach() for n, t in torch.load(path, "cpu", weights_only=True).items()}
    except Exception as error:  # of many types: pickle's, zipfile's, torch's own
        reason = str(error).partition("\n")[0][:120] or type(error).__name__
        raise ValueError(f"{path} is damaged or contains more than tensors ({reason})") from None
