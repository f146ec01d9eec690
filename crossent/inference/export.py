"""A trained model as one file for other programs: a uint8 picture in, probabilities out."""

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from crossent.errors import UserError
from crossent.files import write_atomic
from crossent.inference.paths import draw_files, find_pictures, validation_files
from crossent.inference.predict import predict
from crossent.inference.resize import PillowResize
from crossent.model_file import Classifier
from data.decode import HASH_SIDE, ODDITIES, inspect
from data.preprocess import Preprocessing, normalised

TOLERANCE = 1e-4  # of a probability
# The oldest onnxruntime that ran an export of each opset, of those that install on Python 3.11.
ONNXRUNTIME = {18: "1.15", 19: "1.16", 20: "1.17", 21: "1.18", 22: "1.21", 23: "1.23"}
OPSET = 18  # the oldest that torch.onnx writes

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


def export(
    classifier: Classifier, path: Path, data: str | None, opset: int = OPSET
) -> tuple[str, int, float]:
    """Write the model as ONNX, after comparing its predictions with those of `predict`.

    Args:
        classifier: the trained model, on the CPU.
        data: a folder of pictures to compare on, or as `pictures_to_compare_on` finds them.
        opset: a key of `ONNXRUNTIME`.

    Returns:
        which pictures were compared, how many, and how far a probability was apart at most.

    Raises:
        UserError: the predictions differ, or the folder does not exist; nothing is written.
    """
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: no such folder")
    module = Deployed(classifier.model, classifier.preprocessing)
    notes = metadata(classifier) | {"onnxruntime": f">= {ONNXRUNTIME[opset]}"}
    content, predictor = to_onnx(module, notes, opset)
    with TemporaryDirectory() as folder:
        source, pictures = pictures_to_compare_on(classifier, data, Path(folder))
        num_images, difference = compare(classifier, predictor, pictures)
    write_atomic(path, lambda temporary: temporary.write_bytes(content))
    return source, num_images, difference


def metadata(classifier: Classifier) -> dict[str, str]:
    """Return what another program needs to know; all values are text, as ONNX asks."""
    header, names = classifier.header, classifier.class_names
    drafted = 2 * max(classifier.preprocessing.image_size, HASH_SIDE)
    return {
        # a folder's name may hold bytes that are no text, which no ONNX file takes
        "class_names": json.dumps(names, ensure_ascii=not "".join(names).isprintable()),
        "preprocessing": json.dumps(classifier.preprocessing.to_dict()),
        "input": "uint8 (N, H, W, 3), RGB, upright by its EXIF tag, any size; the resize to "
        "image_size, the normalisation and the softmax are inside",
        "jpeg": f'decoded by Pillow after image.draft("RGB", ({drafted}, {drafted}))',
        "odd pictures": json.dumps(ODDITIES),
        "format_version": str(header["format_version"]),
        "model": json.dumps(header["model"]),
        "sha256": header["sha256"],  # of the weights, as in model.safetensors
        "data_fingerprint": header.get("data_fingerprint", ""),
    }


def to_onnx(
    module: nn.Module, notes: dict[str, str], opset: int = OPSET
) -> tuple[bytes, Predictor]:
    """Return the content of an ONNX file, and what runs it, for any number of pictures and size."""
    import onnx
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
        opset_version=opset,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(notes)
    proto = program.model_proto
    proto.ir_version = onnx.helper.find_min_ir_version_for(proto.opset_import)
    content: bytes = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda images: session.run(["probs"], {"images": images})[0]


def compare(
    classifier: Classifier, predictor: Predictor, pictures: Iterable[str]
) -> tuple[int, float]:
    """Ask the export about the decoded files, and the original as `predict` does, in fp32.

    Raises:
        UserError: the two are not the same model for all that matters, or there are no pictures.
    """
    size, num_images, largest = classifier.preprocessing.image_size, 0, 0.0
    for answer in predict(replace(classifier, precision="fp32"), pictures):
        if answer.error:
            continue
        pixels = inspect(answer.path, [size], whole=True).pixels[0]
        got, expected = predictor(pixels[None])[0], np.array(list(answer.probs.values()))
        difference = float(np.abs(got - expected).max())
        if got.argmax() != expected.argmax() or not difference <= TOLERANCE:  # or it is a NaN
            raise UserError(
                "the exported model does not answer as the original does: on "
                f"{answer.path} probabilities differ by up to {difference:.2g} "
                f"(allowed: {TOLERANCE:g}); nothing was written"
            )
        num_images, largest = num_images + 1, max(largest, difference)
    if num_images == 0:
        raise UserError("export: no picture to compare on that can be used; name a folder: --data")
    return num_images, largest


def pictures_to_compare_on(
    classifier: Classifier, data: str | None, folder: Path
) -> tuple[str, Iterable[str]]:
    """Return where they come from, in words, and paths of pictures.

    Args:
        data: a folder of pictures; by default, validation pictures of the run are taken, or
            drawings where these are gone.
        folder: where to write drawings.
    """
    if data is not None:
        return data, find_pictures([data])
    try:
        return "validation pictures of the run", validation_files(classifier, folder)
    except UserError as error:
        return f"drawings, as the run's own cannot be found: {error}", draw_files(folder)
