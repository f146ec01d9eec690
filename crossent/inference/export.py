"""A trained model as one file for other programs: a uint8 picture in, probabilities out."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from crossent.errors import UserError
from crossent.files import write_atomic
from crossent.inference.paths import find_pictures, validation_files
from crossent.inference.resize import PillowResize
from crossent.model_file import Classifier
from data.decode import UnusableImage, inspect
from data.drawings import draw
from data.preprocess import Preprocessing, normalised

TOLERANCE = 1e-4  # of a probability
NUM_DRAWINGS = 30

Pixels = npt.NDArray[np.uint8]
Predictor = Callable[[Pixels], npt.NDArray[np.float32]]  # (N, H, W, 3) to (N, K)


class Comparison(NamedTuple):
    """On how many pictures export and original were compared, and how far y was apart at most."""

    num_images: int
    largest_difference: float


class Deployed(nn.Module):
    """The model with all that lies between a decoded picture and its probabilities.

    Shape:
        (N, H, W, 3) uint8, RGB, upright, to (N, K) float32; rows sum to 1.
    """

    def __init__(self, model: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.resize = PillowResize(preprocessing.image_size)
        # torch.export stores weights as they lie in memory, and knows one order only
        self.model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
        self.scale, self.shift = preprocessing.scale_and_shift(torch.device("cpu"))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(normalised(self.resize(images), self.scale, self.shift))
        return logits.float().softmax(dim=1)


def export(
    classifier: Classifier, path: Path, pictures: Iterable[tuple[str, Pixels]]
) -> Comparison:
    """Write the model as ONNX, after comparing its predictions with the original's.

    Args:
        classifier: the trained model, on the CPU.
        pictures: to compare on: name and (H, W, 3) pixels each.

    Raises:
        UserError: the predictions differ, or the folder does not exist; nothing is written.
    """
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: no such folder")
    model = copy.deepcopy(classifier.model).eval()  # whatever mode its owner has left it in
    classifier = replace(classifier, model=model, precision="fp32")
    content, predictor = to_onnx(Deployed(model, classifier.preprocessing), metadata(classifier))
    comparison = compare(classifier, predictor, pictures)
    write_atomic(path, lambda temporary: temporary.write_bytes(content))
    return comparison


def metadata(classifier: Classifier) -> dict[str, str]:
    """Return what another program needs to know; all values are text, as ONNX asks."""
    header = classifier.header
    return {
        "class_names": json.dumps(classifier.class_names, ensure_ascii=False),
        "preprocessing": json.dumps(classifier.preprocessing.to_dict()),
        "input": "uint8 (N, H, W, 3), RGB, upright by its EXIF tag, any size; the resize to "
        "image_size, the normalisation and the softmax are inside",
        "format_version": str(header["format_version"]),
        "model": json.dumps(header["model"]),
        "sha256": header["sha256"],  # of the weights, as in model.safetensors
        "data_fingerprint": header.get("data_fingerprint", ""),
    }


def to_onnx(module: nn.Module, notes: dict[str, str]) -> tuple[bytes, Predictor]:
    """Return the content of an ONNX file, and what runs it, for any number of pictures and size."""
    import onnxruntime

    is_open = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        module.eval(),
        # a size of 1 would be taken for a constant
        (torch.zeros(2, 70, 50, 3, dtype=torch.uint8),),
        dynamo=True,
        dynamic_shapes=({0: is_open, 1: is_open, 2: is_open},),
        input_names=["images"],
        output_names=["probs"],
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(notes)
    content: bytes = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda images: session.run(["probs"], {"images": images})[0]


@torch.inference_mode()
def compare(
    original: Classifier, predictor: Predictor, pictures: Iterable[tuple[str, Pixels]]
) -> Comparison:
    """Ask both about the same pixels: the original after Pillow's own resize.

    Raises:
        UserError: the two are not the same model for all that matters, or there are no pictures.
    """
    size = (original.preprocessing.image_size,) * 2
    num_images, largest = 0, 0.0
    for name, pixels in pictures:
        square = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        expected = original.probs(torch.from_numpy(square)[None])[0]
        got = torch.from_numpy(predictor(pixels[None]))[0]
        difference = (got - expected).abs().max().item()
        if got.argmax() != expected.argmax() or not difference <= TOLERANCE:  # or it is a NaN
            raise UserError(
                f"the exported model does not answer as the original does: on {name} probabilities "
                f"differ by up to {difference:.2g} (allowed: {TOLERANCE:g}); nothing was written"
            )
        num_images, largest = num_images + 1, max(largest, difference)
    if num_images == 0:
        raise UserError("export: no picture to compare on that can be used; name a folder: --data")
    return Comparison(num_images, largest)


def pictures_to_compare_on(
    classifier: Classifier, folder: str | None
) -> tuple[str, Iterator[tuple[str, Pixels]]]:
    """Return where they come from, in words, and the pictures: name and (H, W, 3) pixels each.

    Without a folder: the run's validation pictures, if they are files that are still there; else
    drawings.
    """
    size = classifier.preprocessing.image_size
    if folder is not None:
        return folder, decoded(find_pictures([folder]), size)
    try:
        _, paths = validation_files(classifier)
    except UserError as error:
        return f"drawings, as the pictures of the run are gone ({error})", drawings(size)
    if paths:
        return "validation pictures of the run", decoded(paths, size)
    return "drawings of several sizes", drawings(size)


def decoded(paths: Iterable[str], size: int) -> Iterator[tuple[str, Pixels]]:
    """Yield those that can be decoded, each as large as the decoder gives it."""
    for path in paths:
        with suppress(UnusableImage):
            yield path, inspect(path, [size], whole=True).pixels[0]


def drawings(size: int) -> Iterator[tuple[str, Pixels]]:
    """Yield pictures smaller than the model's input, as large and larger; upright and lying."""
    sides = (max(16, size // 2), size, 2 * size + 7)
    for index in range(NUM_DRAWINGS):
        pixels = draw(0, index, sides[index % 3])
        yield f"drawing {index}", pixels[: len(pixels) * 2 // 3] if index % 2 else pixels
