"""Predictions for pictures: in your own program, or one line per file as text, JSON or CSV.

The function `predict` decodes files on all cores while the model computes; `Model` does not.
"""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Generator, Sequence
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
from data.decode import Inspection, UnusableImage, decode
from data.decode_pool import decode_in_order
from data.images import Pixels, printable

BATCH_SIZE = 64
WINDOW = 4 * BATCH_SIZE  # files that are decoded ahead while the model computes

Array = npt.NDArray[Any]
Picture = str | Path | Image.Image | Array


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


def predict(classifier: Classifier, paths: Sequence[str]) -> Generator[Answer, None, None]:
    """Yield the answer for each path, in their order.

    Files are decoded in other processes with the limits of training, so that a file on which a
    decoder crashes or never ends fails alone. At most `WINDOW` pictures and a batch are in memory.
    y is float64: in float32 it may round to 0, which makes E infinite.
    """
    decoded = decode_in_order(paths, [classifier.preprocessing.image_size], WINDOW)
    found = zip(decoded, paths, strict=True)
    while chunk := list(islice(found, BATCH_SIZE)):
        pixels = [result.pixels[0] for result, _ in chunk if isinstance(result, Inspection)]
        probs = iter(probs_of(classifier, pixels))
        for result, path in chunk:
            is_usable = isinstance(result, Inspection)
            yield Answer(path, next(probs)) if is_usable else Answer(path, error=str(result))


def probs_of(classifier: Classifier, pixels: Sequence[Pixels]) -> list[dict[str, float]]:
    """Return y by class name for each picture, (S, S, 3)."""
    if not pixels:
        return []
    logits = classifier.logits(torch.from_numpy(np.stack(pixels)))  # (N, K)
    rows = logits.double().softmax(dim=1).tolist()
    return [dict(zip(classifier.class_names, row, strict=True)) for row in rows]


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
        """Return the answer for one picture, or for each in a list, decoded as in training.

        Args:
            pictures: a path, a Pillow image, an (H, W, 3) uint8 array; or a list of them.

        Raises:
            ValueError: a picture cannot be used; the message has its path and the reason.
        """
        if not isinstance(pictures, list | tuple):
            return self.predict([cast(Picture, pictures)])[0]
        answers: list[Answer] = []
        for start in range(0, len(pictures), BATCH_SIZE):
            batch = pictures[start : start + BATCH_SIZE]
            probs = probs_of(self.classifier, [self._decode(picture) for picture in batch])
            for picture, y in zip(batch, probs, strict=True):
                answers.append(Answer(str(picture) if isinstance(picture, str | Path) else "", y))
        return answers

    def _decode(self, picture: Picture) -> Pixels:
        if not isinstance(picture, str | Path | Image.Image | np.ndarray):
            kinds = "a path, a Pillow image, an (H, W, 3) uint8 array, or a list of them"
            raise UserError(f"expected {kinds}; got {type(picture).__name__}")
        file = picture if isinstance(picture, str | Path) else as_file(picture)
        try:
            return decode(file, self.classifier.preprocessing.image_size)
        except UnusableImage as error:
            name = "the picture" if isinstance(file, bytes) else file
            raise UserError(f"{name}: {error}") from None


def as_file(picture: Image.Image | Array) -> bytes:
    """Return the picture as a lossless file, so that it is decoded like any other file."""
    if isinstance(picture, np.ndarray):
        is_rgb = picture.ndim == 3 and picture.shape[2] == 3 and picture.size > 0
        if picture.dtype != np.uint8 or not is_rgb:
            raise UserError(f"expected (H, W, 3) uint8; got {picture.shape} {picture.dtype}")
        picture = Image.fromarray(picture)
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
    classifier: Classifier,
    paths: Sequence[str],
    form: str = "text",
    top: int = 3,
    accuracy: float | None = None,
) -> None:
    """Print one line per file as soon as it is predicted, then how many files could not be used.

    Args:
        form: "text", "json" or "csv".
        top: the number of classes to show as text.
        accuracy: the accuracy to promise for all answers except those that are "not sure".

    Raises:
        UserError: the accuracy cannot be promised, or no file could be used.
    """
    threshold = None if accuracy is None else threshold_for(classifier, accuracy)
    if form == "csv":
        assert isinstance(sys.stdout, io.TextIOWrapper)
        sys.stdout.reconfigure(encoding="utf-8-sig")  # spreadsheets recognise it by its first bytes
        columns = ["path", "label", *(f"y_{name}" for name in classifier.class_names), "error"]
        csv.writer(sys.stdout, lineterminator="\n").writerow(columns)
    counts: Counter[str] = Counter()
    for answer in predict(classifier, paths):
        is_unsure = bool(threshold and answer.probs and max(answer.probs.values()) < threshold)
        is_sure = None if threshold is None else not is_unsure
        if form == "csv":
            print_row(answer, "" if is_unsure else answer.label, classifier.class_names)
        else:
            print(as_json(answer, is_sure) if form == "json" else as_text(answer, is_sure, top))
        sys.stdout.flush()
        counts.update(unusable=answer.error is not None, unsure=is_unsure)
    end = sys.stdout if form == "text" else sys.stderr
    if counts["unusable"] == len(paths):
        raise UserError(f"none of {len(paths)} files could be used")
    if counts["unusable"]:
        print(f"{counts['unusable']} of {len(paths)} files could not be used", file=end)
    if counts["unsure"]:
        print(f"{counts['unsure']} of {len(paths)} answers are not sure", file=end)


def print_row(answer: Answer, label: str | None, class_names: Sequence[str]) -> None:
    """Print a row of the CSV, with ' before text that a spreadsheet would run as a formula."""
    texts = [printable(answer.path), label or ""]
    safe = [f"'{text}" if text.startswith(("=", "+", "-", "@")) else text for text in texts]
    probs = [answer.probs.get(name, "") for name in class_names]
    csv.writer(sys.stdout, lineterminator="\n").writerow([*safe, *probs, answer.error])


def as_json(answer: Answer, is_sure: bool | None) -> str:
    """Return a line that any terminal can print and from which a program reads the exact path."""
    fields: dict[str, object] = {"path": answer.path}
    if answer.error:
        fields["error"] = answer.error
    else:
        fields |= {"label": None if is_sure is False else answer.label, "probs": answer.probs}
        fields |= {} if is_sure is None else {"sure": is_sure}
    return json.dumps(fields, ensure_ascii=not answer.path.isprintable(), allow_nan=False)


def as_text(answer: Answer, is_sure: bool | None, top: int) -> str:
    """Return a line such as: wolf 0.91  dog 0.07  fox 0.02  path/of/picture.jpg"""
    if answer.error:
        return f"unusable: {answer.error}  {printable(answer.path)}"
    ranked = sorted(answer.probs.items(), key=lambda item: -item[1])[:top]
    width = max(map(len, answer.probs))
    cells = "  ".join(f"{name:<{width}} {y:.2f}" for name, y in ranked)
    verdict = "" if is_sure is None else f"{'' if is_sure else 'not sure':10}"
    return f"{verdict}{cells}  {printable(answer.path)}"


def threshold_for(classifier: Classifier, accuracy: float) -> float:
    """Return the lowest confidence of a sure answer; print its validation results.

    Raises:
        UserError: the model has no rejection curve, or the accuracy cannot be promised.
    """
    metrics = classifier.header["metrics"]
    if "rejection" not in metrics:
        raise UserError("--accuracy: this model was stored without a rejection curve; train again")
    try:
        kept = keep_with_accuracy(metrics["rejection"], metrics["num_images"], accuracy)
    except ValueError as error:
        raise UserError(f"--accuracy {accuracy:g}: {error}; choose a lower accuracy") from None
    _, low, high = kept.interval
    print(
        f"an answer is sure if y is at least {kept.threshold:.4f}: {kept.num_kept} of "
        f"{kept.num_images} validation pictures ({kept.coverage:.0%}) had such an answer, "
        f"and {kept.accuracy:.1%} of these were correct (95 % interval {low:.1%} to "
        f"{high:.1%}); nothing is promised for other kinds of pictures",
        file=sys.stderr,
    )
    return kept.threshold
