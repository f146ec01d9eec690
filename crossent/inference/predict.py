"""What is on these pictures? For a program, or one line per file: as text, as JSON, or as CSV.

For the lines, files are decoded on all cores while the model works.
"""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice, tee
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from crossent.device import choose_device, choose_precision
from crossent.errors import UserError
from crossent.evaluation.confidence import keep_promise
from crossent.model_file import Classifier, load_model
from data.decode import Inspection, UnusableImage, decode
from data.decode_pool import decode_in_order
from data.images import Pixels, printable

BATCH_SIZE = 64
WINDOW = 4 * BATCH_SIZE  # files in hand: the next batches are decoded while the model works
NOT_SURE = "not sure"

Array = npt.NDArray[Any]
Picture = str | Path | Image.Image | Array


@dataclass(frozen=True)
class Answer:
    """What the model predicts for one file: y by class name, or the reason why there is none."""

    path: str
    probs: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The class with the largest y."""
        return max(self.probs, key=self.probs.__getitem__, default=None)


def predict(classifier: Classifier, paths: Iterable[str]) -> Generator[Answer, None, None]:
    """Yield the answer for each path, in their order.

    Files are decoded in processes of their own, with the limits of training: one that crashes a
    decoder or never ends costs itself only. At most `WINDOW` pictures and a batch are in memory,
    and paths are taken as they are needed. y is in float64: one that rounds to 0 would make E
    infinite.
    """
    names, to_open = tee(paths)
    decoded = decode_in_order(to_open, [classifier.preprocessing.image_size], WINDOW)
    found = zip(decoded, names, strict=False)
    while chunk := list(islice(found, BATCH_SIZE)):
        pixels = [result.pixels[0] for result, _ in chunk if isinstance(result, Inspection)]
        found_probs = iter(probs_of(classifier, pixels))
        for result, path in chunk:
            if isinstance(result, Inspection):
                yield Answer(path, next(found_probs))
            else:
                yield Answer(path, error=str(result))


def probs_of(classifier: Classifier, pixels: Sequence[Pixels]) -> list[dict[str, float]]:
    """Return y by class name for each picture, (S, S, 3)."""
    if not pixels:
        return []
    logits = classifier.logits(torch.from_numpy(np.stack(pixels)))  # (N, K)
    rows = logits.double().softmax(dim=1).tolist()
    return [dict(zip(classifier.class_names, row, strict=True)) for row in rows]


class Model:
    """A trained model in a program of your own; `crossent.load` returns it.

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
        """Return the answer for a picture, or for each of a list, decoded as in training.

        Args:
            pictures: a path, an image of Pillow, an (H, W, 3) uint8 array; or a list of them.

        Raises:
            ValueError: a picture cannot be used; with its path and the reason.
        """
        if isinstance(pictures, str | Path | Image.Image | np.ndarray):
            return self.predict([pictures])[0]
        answers: list[Answer] = []
        for start in range(0, len(pictures), BATCH_SIZE):
            batch = pictures[start : start + BATCH_SIZE]
            paths = [str(one) if isinstance(one, str | Path) else "" for one in batch]
            pixels = [self._decode(picture) for picture in batch]
            answers += map(Answer, paths, probs_of(self.classifier, pixels))
        return answers

    def _decode(self, picture: Picture) -> Pixels:
        file = picture if isinstance(picture, str | Path) else as_file(picture)
        try:
            return decode(file, self.classifier.preprocessing.image_size)
        except UnusableImage as error:
            name = "the picture" if isinstance(file, bytes) else file
            raise UserError(f"{name}: {error}") from None


def as_file(picture: Image.Image | Array) -> bytes:
    """Return the picture as a lossless file, so that it is decoded as every other one."""
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise UserError(f"expected (H, W, 3) uint8; got {picture.shape} {picture.dtype}")
        picture = Image.fromarray(picture)
    is_png = picture.mode in ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA")
    buffer = io.BytesIO()
    exif = picture.getexif()  # may say which side is up
    picture.save(buffer, "PNG" if is_png else "TIFF", exif=exif, compress_level=1)
    return buffer.getvalue()


def load(path: str | Path, device: str = "auto", precision: str = "fp32") -> Model:
    """Load a trained model.

    Args:
        path: a run folder or a model file.
        device: auto, cpu, cuda, ...
        precision: fp32, as in `crossent predict`; bf16, or auto: bf16 where it is fast.

    Raises:
        ValueError: there is no such model, it is damaged, or the device cannot be used.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise UserError(f"precision={precision!r}: expected 'auto', 'fp32' or 'bf16'")
    used = choose_device(device)
    return Model(load_model(Path(path), used, choose_precision(precision, used)))


def print_predictions(
    classifier: Classifier,
    paths: Iterable[str],
    form: str = "text",
    top: int = 3,
    accuracy: float | None = None,
) -> None:
    """Print a line per file as soon as it is known, and at the end what could not be used.

    Args:
        form: "text", "json" or "csv".
        top: classes to show as text.
        accuracy: to promise of the answers that are not called "not sure".

    Raises:
        UserError: the accuracy cannot be promised, or no file could be used.
    """
    threshold = None if accuracy is None else threshold_for(classifier, accuracy)
    names = classifier.class_names
    table = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        sys.stdout.write("\ufeff")  # tells a spreadsheet that this is UTF-8
        table.writerow(["path", "label", *(f"y_{name}" for name in names), "error"])
    counts: Counter[str] = Counter()
    for answer in predict(classifier, paths):
        is_unsure = bool(threshold and answer.probs and max(answer.probs.values()) < threshold)
        label = None if is_unsure else answer.label
        if form == "json":
            print(as_json(answer, label, has_sure=threshold is not None))
        elif form == "csv":
            cells = [answer.probs.get(name, "") for name in names]
            table.writerow(
                [no_formula(printable(answer.path)), no_formula(label), *cells, answer.error]
            )
        else:
            verdict = "" if threshold is None else f"{NOT_SURE if is_unsure else '':10}"
            print(as_text(answer, top, verdict))
        sys.stdout.flush()
        counts.update(files=1, unusable=answer.error is not None, unsure=is_unsure)
    end = sys.stdout if form == "text" else sys.stderr
    if not counts["files"]:
        raise UserError("no files: the list on standard input is empty")
    if counts["unusable"] == counts["files"]:
        raise UserError(f"none of {counts['files']} files could be used")
    if counts["unusable"]:
        print(f"{counts['unusable']} of {counts['files']} files could not be used", file=end)
    if counts["unsure"]:
        print(f"{counts['unsure']} of {counts['files']} answers are not sure", file=end)


def no_formula(text: str | None) -> str | None:
    """Return a cell that a spreadsheet does not compute."""
    return f"'{text}" if text and text[0] in "=+-@" else text


def as_json(answer: Answer, label: str | None, has_sure: bool) -> str:
    """Return a line that any terminal takes and from which a program gets the very path back."""
    fields: dict[str, object] = {"path": answer.path}
    if answer.error:
        fields["error"] = answer.error
    else:
        fields |= {"label": label, "probs": answer.probs}
        fields |= {"sure": label is not None} if has_sure else {}
    return json.dumps(fields, ensure_ascii=not answer.path.isprintable(), allow_nan=False)


def as_text(answer: Answer, top: int, verdict: str) -> str:
    """Return a line such as: wolf 0.91  dog 0.07  fox 0.02  path/of/picture.jpg"""
    if answer.error:
        return f"unusable: {answer.error}  {printable(answer.path)}"
    ranked = sorted(answer.probs.items(), key=lambda item: -item[1])[:top]
    width = max(map(len, answer.probs))
    cells = "  ".join(f"{name:<{width}} {y:.2f}" for name, y in ranked)
    return f"{verdict}{cells}  {printable(answer.path)}"


def threshold_for(classifier: Classifier, accuracy: float) -> float:
    """Return the y from which an answer is sure, and print what validation showed for it.

    Raises:
        UserError: the model has no such curve, or the accuracy cannot be promised.
    """
    metrics = classifier.header["metrics"]
    if "rejection" not in metrics:
        raise UserError("--accuracy: this model was stored without a rejection curve; train anew")
    try:
        promise = keep_promise(metrics["rejection"], metrics["num_images"], accuracy)
    except ValueError as error:
        raise UserError(f"--accuracy: {error}; ask for another one") from None
    _, low, high = promise.interval
    print(
        f"sure from y = {promise.threshold:.4f} on: {promise.num_kept} of {promise.num_images} "
        f"validation pictures ({promise.coverage:.0%}) had such an answer, and "
        f"{promise.accuracy:.1%} of these were correct (95 % interval {low:.1%} to {high:.1%}); "
        "nothing is promised for pictures of another kind",
        file=sys.stderr,
    )
    return promise.threshold
