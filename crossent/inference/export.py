"""A trained model as one file for other programs: a uint8 picture in, probabilities out."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from crossent.errors import UserError
from crossent.files import write_atomic
from crossent.inference.paths import find_pictures, run_settings, validation_files
from crossent.inference.resize import PillowResize
from crossent.model_file import Classifier
from data.decode import UnusableImage, inspect
from data.drawings import draw
from data.preprocess import Preprocessing, normalised

TOLERANCE = 1e-4  # of a probability
NUM_DRAWINGS = 30
# Every size of these is open: pictures at once, height, width.
DYNAMIC = ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC},)

Pixels = npt.NDArray[np.uint8]
Predictor = Callable[[Pixels], npt.NDArray[np.float32]]  # (N, H, W, 3) to (N, K)


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


@dataclass(frozen=True)
class Comparison:
    """How far the exported model was from the original, picture by picture."""

    num_images: int
    largest_difference: float  # of a probability
    disagreements: list[str]  # pictures with another most probable class

    def check(self) -> None:
        """Raise UserError if the two are not the same model for all that matters."""
        if self.disagreements or not self.largest_difference <= TOLERANCE:
            named = ", ".join(self.disagreements[:5]) or "none"
            raise UserError(
                f"the exported model does not answer as the original does: probabilities differ "
                f"by up to {self.largest_difference:.2g} (allowed: {TOLERANCE:g}), the answer on "
                f"{len(self.disagreements)} of {self.num_images} pictures ({named}); nothing was "
                "written"
            )


def export(
    classifier: Classifier, path: Path, pictures: Iterable[tuple[str, Pixels]]
) -> Comparison:
    """Write the model as ONNX, after comparing its predictions with the original's.

    Args:
        classifier: the trained model, on the CPU.
        path: the file to write.
        pictures: to compare on: name and (H, W, 3) pixels each.

    Raises:
        UserError: the predictions differ, or the folder does not exist; nothing is written.
    """
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: no such folder")
    model = copy.deepcopy(classifier.model).eval()  # whatever mode its owner has left it in
    classifier = replace(classifier, model=model, precision="fp32")
    deployed = Deployed(model, classifier.preprocessing).eval()
    content, predictor = to_onnx(deployed, metadata(classifier))
    comparison = compare(classifier, predictor, pictures)
    comparison.check()
    write_atomic(path, lambda temporary: temporary.write_bytes(content))
    return comparison


def metadata(classifier: Classifier) -> dict[str, str]:
    """What another program needs to know; all values are text, as ONNX asks."""
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


def example() -> Tensor:
    """A batch of an odd size: two pictures, since a size of 1 would be taken for a constant."""
    return torch.zeros(2, 70, 50, 3, dtype=torch.uint8)


def to_onnx(deployed: nn.Module, notes: dict[str, str]) -> tuple[bytes, Predictor]:
    """The content of an ONNX file, and onnxruntime ready to run it."""
    import onnxruntime

    program = torch.onnx.export(
        deployed,
        (example(),),
        dynamo=True,
        dynamic_shapes=DYNAMIC,
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
    classifier: Classifier, predictor: Predictor, pictures: Iterable[tuple[str, Pixels]]
) -> Comparison:
    """Ask both about the same pixels: the original after Pillow's own resize, in float32."""
    original = replace(classifier, precision="fp32")
    size = (classifier.preprocessing.image_size,) * 2
    num_images, largest, disagreements = 0, 0.0, []
    for name, pixels in pictures:
        square = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        expected = original.probs(torch.from_numpy(square)[None])[0]
        got = torch.from_numpy(predictor(pixels[None]))[0]
        # max() of Python would drop a NaN; that of numpy keeps it
        largest = float(np.maximum(largest, (got - expected).abs().max().item()))
        if got.argmax() != expected.argmax():
            disagreements.append(name)
        num_images += 1
    if num_images == 0:
        raise UserError("export: no picture to compare on that can be used; name a folder: --data")
    return Comparison(num_images, largest, disagreements)


def pictures_to_compare_on(
    classifier: Classifier, folder: str | None
) -> tuple[str, Iterator[tuple[str, Pixels]]]:
    """Return where they come from, in words, and the pictures: name and (H, W, 3) pixels each.

    Those of the folder that is named; else the run's validation pictures, if they are files that
    are still there; else drawings, which are always to be had.
    """
    size = classifier.preprocessing.image_size
    if folder is not None:
        return folder, decoded(find_pictures([folder]), size)
    settings = run_settings(classifier)
    try:
        paths = validation_files(settings)
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
