"""Export a trained model as one file for other programs: uint8 picture in, probabilities out.

An exported model must see the same pixels as in training, so it contains Pillow's BILINEAR resize,
exact to the bit. ONNX's own Resize differs between runtimes; here it is two matrix products.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import PIL
import torch
from torch import Tensor, nn

from crossent.errors import UserError
from crossent.files import write_atomic
from crossent.inference.paths import find_pictures, validation_files
from crossent.inference.predict import predict
from crossent.model_file import Classifier
from data.decode import HASH_SIDE, ODDITIES, inspect
from data.images import Pixels
from data.preprocess import Preprocessing, normalised

TOLERANCE = 1e-4  # of a probability
# The oldest onnxruntime for Python 3.11 that ran an export of each opset that torch.onnx writes.
ONNXRUNTIME = {18: "1.15", 19: "1.16", 20: "1.17", 21: "1.18", 22: "1.21", 23: "1.23"}
PRECISION = 2**22  # Pillow computes in whole numbers, with weights in units of 1 / 2^22
PICKS_ORDER = int(PIL.__version__.split(".")[0]) >= 13


class Deployed(nn.Module):
    """The model with all steps between a decoded picture and its probabilities.

    Shape:
        (N, H, W, 3) uint8, RGB, upright, to (N, K) float32; rows sum to 1.
    """

    def __init__(self, model: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.size = preprocessing.image_size
        # torch.export supports only one memory format
        self.model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
        self.scale, self.shift = preprocessing.scale_and_shift(torch.device("cpu"))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(normalised(resize(images, self.size), self.scale, self.shift))
        return logits.float().softmax(dim=1)


def resize(images: Tensor, size: int) -> Tensor:
    """Stretch pictures of any size to a square, as `data.decode.decode` does.

    Two passes, each rounded to whole numbers. Pillow does the horizontal one first; from version 13
    it does the vertical one first if the height shrinks by more than twice as many pixels as the
    width. Source: Pillow's Resample.c; a test compares the results.

    Shape:
        (N, H, W, 3) uint8 to (N, size, size, 3) float32 with whole numbers from 0 to 255.
    """
    height, width = images.shape[1], images.shape[2]
    # Not columns.T: onnxruntime before 1.24 fuses that into a product it cannot compute.
    rows = triangle_weights(height, size, dim=1)  # (size, H)
    columns = triangle_weights(width, size, dim=0)  # (W, size)
    pixels = images.permute(0, 3, 1, 2).double()  # (N, 3, H, W)
    resized = rounded(rows @ rounded(pixels @ columns))
    if PICKS_ORDER:
        less_height, less_width = (
            torch.full((), side - size).clamp(min=0) for side in (height, width)
        )
        vertical_first = rounded(rounded(rows @ pixels) @ columns)
        resized = torch.where(less_height > 2 * less_width, vertical_first, resized)
    return resized.float().permute(0, 2, 3, 1)


def triangle_weights(num_pixels: int, size: int, dim: int) -> Tensor:
    """Return the weight of each old pixel of a line in each new pixel.

    The weights are a triangle around the centre of the new pixel. It extends by the width of a new
    pixel to both sides, or by that of an old pixel if this is larger.

    Shape:
        float64: (size, num_pixels) for dim = 1, (num_pixels, size) for dim = 0.
    """
    # Tensors, not Python numbers, for all that depends on the picture's size, which is known only
    # when the exported model runs: ONNX would divide Python numbers in float32.
    scale = torch.full((), num_pixels, dtype=torch.float64) / size
    support = scale.clamp(min=1)
    old = torch.arange(num_pixels, dtype=torch.float64) + 0.5
    new = (torch.arange(size, dtype=torch.float64) + 0.5) * scale
    weights = (1 - ((old.unsqueeze(1 - dim) - new.unsqueeze(dim)) / support).abs()).clamp(min=0)
    return rounded(weights / weights.sum(dim=dim, keepdim=True) * PRECISION) / PRECISION


def rounded(values: Tensor) -> Tensor:
    """Round half up, as Pillow does; torch.round rounds half to even."""
    return (values + 0.5).floor()


def export(classifier: Classifier, path: Path, data: str | None, opset: int) -> tuple[int, float]:
    """Write the model as ONNX, after comparing its predictions with those of `predict`.

    Args:
        classifier: the trained model, on the CPU, in fp32.
        data: a folder of pictures for the comparison; None for validation pictures of the run.
        opset: a key of `ONNXRUNTIME`.

    Returns:
        the number of pictures, and the largest difference between two probabilities.

    Raises:
        UserError: the predictions differ, or there are no pictures; no file is written.
    """
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: no such folder")
    module = Deployed(classifier.model, classifier.preprocessing)
    content, run = to_onnx(module, metadata(classifier, opset), opset)
    differences = []
    with TemporaryDirectory() as folder:
        try:
            pictures = find_pictures([data]) if data else validation_files(classifier, Path(folder))
        except UserError as error:
            raise UserError(f"{error}; name a folder of pictures to compare on: --data") from None
        for answer in (found for found in predict(classifier, pictures) if not found.error):
            pixels = inspect(answer.path, [module.size], whole=True).pixels[0]
            got, expected = run(pixels[None])[0], np.array(list(answer.probs.values()))
            differences.append(float(np.abs(got - expected).max()))
            if got.argmax() != expected.argmax() or not differences[-1] <= TOLERANCE:  # or NaN
                raise UserError(
                    f"the export differs from the original; nothing was written: on {answer.path} "
                    f"probabilities differ by up to {differences[-1]:.2g} (allowed: {TOLERANCE:g})"
                )
    if not differences:
        raise UserError("export: no picture for the comparison can be used; name a folder: --data")
    write_atomic(path, lambda temporary: temporary.write_bytes(content))
    return len(differences), max(differences)


def metadata(classifier: Classifier, opset: int) -> dict[str, str]:
    """Return what another program needs to know as text, the only metadata that ONNX stores."""
    header, drafted = classifier.header, 2 * max(classifier.preprocessing.image_size, HASH_SIDE)
    return {
        "class_names": json.dumps(classifier.class_names),  # ASCII: ONNX refuses lone surrogates
        "preprocessing": json.dumps(classifier.preprocessing.to_dict()),
        "input": "uint8 (N, H, W, 3), RGB, upright by its EXIF tag, any size; the model resizes it "
        "to image_size, normalises it and applies the softmax",
        "jpeg": f'decoded by Pillow after image.draft("RGB", ({drafted}, {drafted}))',
        "odd pictures": json.dumps(ODDITIES),
        "onnxruntime": f">= {ONNXRUNTIME[opset]}",
        "format_version": str(header["format_version"]),
        "model": json.dumps(header["model"]),
        "sha256": header["sha256"],  # of the weights, as in model.safetensors
        "data_fingerprint": header.get("data_fingerprint", ""),
    }


def to_onnx(
    module: nn.Module, notes: dict[str, str], opset: int
) -> tuple[bytes, Callable[[Pixels], Any]]:
    """Return the content of an ONNX file, and a function that runs it: (N, H, W, 3) to (N, K)."""
    import onnx
    import onnxruntime

    program = torch.onnx.export(
        module.eval(),
        # torch.export would treat a size of 1 as a constant
        (torch.zeros(2, 70, 50, 3, dtype=torch.uint8),),
        dynamo=True,
        dynamic_shapes=(dict.fromkeys(range(3), torch.export.Dim.DYNAMIC),),
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
