"""Predictions for pictures: in your own program, or one line per file as text, JSON or CSV.

The function `predict` decodes files on all cores while the model computes; `Model` does not.
"""

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from crossent.device import choose_device, choose_precision
from crossent.errors import UserError
from crossent.evaluation.confidence import keep_with_accuracy
from crossent.model_file import Classifier, load_model
from data.decode import Inspection, UnusableImage, inspect
from data.decode_pool import Result, decode_in_order
from data.images import printable

BATCH_SIZE = 64
WINDOW = 4 * BATCH_SIZE  # files that are decoded ahead while the model computes

Picture = str | Path | Image.Image | npt.NDArray[Any]


@dataclass(frozen=True)
class Answer:
    """The prediction for one picture: y by class name, or the reason why there is none."""

    path: str
    probs: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The class with the largest y."""
        return max(self.probs, key=self.probs.__getitem__, default=None)


def predict(classifier: Classifier, paths: Sequence[str]) -> Iterator[Answer]:
    """Return the answer for each path, in their order.

    Files are decoded in other processes with the limits of training, so that a file on which a
    decoder crashes or never ends fails alone. At most `WINDOW` pictures and a batch are in memory.
    """
    decoded = decode_in_order(paths, [classifier.preprocessing.image_size], WINDOW)
    return answers(classifier, zip(paths, decoded, strict=True))


def answers(classifier: Classifier, found: Iterator[tuple[str, Result]]) -> Iterator[Answer]:
    """Yield the answer for each path and its decoded picture, (S, S, 3), batch by batch."""
    while chunk := list(islice(found, BATCH_SIZE)):
        probs: Iterator[list[float]] = iter(())
        if pixels := [result.pixels[0] for _, result in chunk if isinstance(result, Inspection)]:
            logits = classifier.logits(torch.from_numpy(np.stack(pixels)))  # (N, K)
            # in float32, y may round to 0, which makes E infinite
            probs = iter(logits.double().softmax(dim=1).tolist())
        for path, result in chunk:
            if isinstance(result, Inspection):
                yield Answer(path, dict(zip(classifier.class_names, next(probs), strict=True)))
            else:
                yield Answer(path, error=str(result))


class Model:
    """A trained model in your own program; `crossent.load` returns it.

    Example:
        model = crossent.load("runs/mine")
        answer = model.predict("fox.jpg")
        print(answer.label, answer.probs["fox"])
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.class_names = classifier.class_names

    @overload
    def predict(self, pictures: Picture) -> Answer: ...  # type: ignore[overload-overlap]  # str

    @overload
    def predict(self, pictures: Sequence[Picture]) -> list[Answer]: ...

    def predict(self, pictures: Picture | Sequence[Picture]) -> Answer | list[Answer]:
        """Return the `Answer` for one picture, or a list of them, decoded as in training.

        Args:
            pictures: a path, a Pillow image, an (H, W, 3) uint8 array; or a list of them.

        Raises:
            ValueError: a picture cannot be used; the message has its path and the reason.
        """
        if isinstance(pictures, list | tuple):
            return list(answers(self.classifier, map(self._decode, pictures)))
        return next(answers(self.classifier, iter([self._decode(cast(Picture, pictures))])))

    def _decode(self, picture: Picture) -> tuple[str, Inspection]:
        path = str(picture) if isinstance(picture, str | Path) else ""
        try:
            size = self.classifier.preprocessing.image_size
            return path, inspect(path or as_file(picture), [size])
        except UnusableImage as error:
            raise UserError(f"{path or 'the picture'}: {error}") from None


def as_file(picture: Picture) -> bytes:
    """Return the picture as a lossless file, so that it is decoded like any other file."""
    got = type(picture).__name__
    if isinstance(picture, np.ndarray):
        got = f"{picture.shape} {picture.dtype}"
        if picture.dtype == np.uint8 and picture.shape[2:] == (3,) and picture.size > 0:
            picture = Image.fromarray(picture)
    if not isinstance(picture, Image.Image):
        expected = "a path, a Pillow image, an (H, W, 3) uint8 array, or a list of them"
        raise UserError(f"expected {expected}; got {got}")
    form = "PNG" if picture.mode in ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA") else "TIFF"
    buffer = io.BytesIO()
    picture.save(buffer, form, exif=picture.getexif(), compress_level=1)  # EXIF: the orientation
    return buffer.getvalue()


def load(path: str | Path, device: str = "auto", precision: str = "fp32") -> Model:
    """Load a trained model.

    Args:
        path: a run folder or a model file.
        device: auto, cpu, cuda, ...
        precision: fp32, as in `crossent predict`; bf16; or auto, which is bf16 where it is fast.

    Raises:
        ValueError: there is no such model, it is damaged, or the device cannot be used.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise UserError(f"precision={precision!r}: expected 'auto', 'fp32' or 'bf16'")
    used = choose_device(device)
    return Model(load_model(Path(path), used, choose_precision(precision, used)))


def print_predictions(
    classifier: Classifier, paths: Sequence[str], form: str, top: int, accuracy: float | None
) -> None:
    """Print one line per file as soon as it is predicted, then how many files could not be used.

    Args:
        form: "text", "json" or "csv".
        top: the number of classes to show as text.
        accuracy: the accuracy to promise for all answers except those that are "not sure".

    Raises:
        UserError: the accuracy cannot be promised, or no file could be used.
    """
    threshold = 0.0 if accuracy is None else threshold_for(classifier, accuracy)
    names = classifier.class_names
    write_row = csv.writer(sys.stdout, lineterminator="\n").writerow
    if form == "csv":
        cast(io.TextIOWrapper, sys.stdout).reconfigure(encoding="utf-8-sig")  # for spreadsheets
        write_row(["path", "label", *(f"y_{name}" for name in names), "error"])
    num_unusable = 0
    for answer in predict(classifier, paths):
        path, y = printable(answer.path), answer.probs
        label = answer.label if max(y.values(), default=0.0) >= threshold else None
        if form == "json":
            found = {"error": answer.error} if answer.error else {"label": label, "probs": y}
            line = {"path": answer.path, **found}
            # any terminal can print the line, and a program reads the exact path from it
            print(json.dumps(line, ensure_ascii=not answer.path.isprintable(), allow_nan=False))
        elif form == "csv":
            # a spreadsheet would run a text that begins like a formula
            safe = [re.sub("^(?=[-=+@])", "'", text) for text in (path, label or "")]
            write_row([*safe, *(y.get(name, "") for name in names), answer.error])
        elif answer.error:
            print(f"unusable: {answer.error}  {path}")
        else:  # wolf 0.91  dog 0.07  fox 0.02  path/of/picture.jpg
            ranked = sorted(y, key=lambda name: -y[name])[:top]
            cells = [f"{name:<{max(map(len, names))}} {y[name]:.2f}" for name in ranked]
            print("  ".join([*cells, *(["not sure"] if label is None else []), path]))
        sys.stdout.flush()
        num_unusable += answer.error is not None
    if num_unusable == len(paths):
        raise UserError("no picture could be used")
    if num_unusable:
        text = f"{num_unusable} of {len(paths)} files could not be used"
        print(text, file=sys.stdout if form == "text" else sys.stderr)


def threshold_for(classifier: Classifier, accuracy: float) -> float:
    """Return the lowest confidence of a sure answer; print its validation results."""
    metrics = classifier.header["metrics"]
    if "rejection" not in metrics:
        raise UserError("--accuracy: this model was stored without a rejection curve; train again")
    try:
        kept = keep_with_accuracy(metrics["rejection"], metrics["num_images"], accuracy)
    except ValueError as error:
        raise UserError(f"--accuracy {accuracy:g}: {error}; choose a lower accuracy") from None
    print(
        f"an answer is sure if y is at least {kept.threshold:.4f}: {kept.num_kept} of "
        f"{kept.num_images} validation pictures ({kept.coverage:.0%}) have a sure answer, of which "
        f"{kept.interval.text('.1%')} are correct; nothing is promised for other kinds of pictures",
        file=sys.stderr,
    )
    return kept.threshold
