"""What is on these pictures? A line per file: for a person, as JSON, or as CSV.

Files are decoded on all cores while the model works.
"""

import csv
import json
import sys
from collections import Counter
from collections.abc import Generator, Iterable
from itertools import islice, tee

import numpy as np
import torch

from crossent.errors import UserError
from crossent.evaluation.confidence import keep_promise
from crossent.model_file import Classifier
from data.decode import UnusableImage
from data.decode_pool import decode_in_order
from data.table import printable

BATCH_SIZE = 64
WINDOW = 4 * BATCH_SIZE  # files in hand: the next batches are decoded while the model works
NOT_SURE = "not sure"

Probs = dict[str, float]  # y by class name


def predict(
    classifier: Classifier, paths: Iterable[str]
) -> Generator[tuple[str, Probs | UnusableImage], None, None]:
    """Yield each path with its probabilities or the reason why there are none, in their order.

    Files are decoded in processes of their own, with the limits of training: one that crashes a
    decoder or never ends costs itself only. At most `WINDOW` pictures and a batch are in memory,
    and paths are taken as they are needed.
    """
    names, to_open = tee(paths)
    decoded = decode_in_order(to_open, [classifier.preprocessing.image_size], WINDOW)
    found = zip(decoded, names, strict=False)
    while chunk := list(islice(found, BATCH_SIZE)):
        usable = [r.pixels[0] for r, _ in chunk if not isinstance(r, UnusableImage)]
        probs = classifier.probs(torch.from_numpy(np.stack(usable))).tolist() if usable else []
        rows = iter(probs)
        for result, path in chunk:
            if isinstance(result, UnusableImage):
                yield path, result
            else:
                yield path, dict(zip(classifier.class_names, next(rows), strict=True))


def print_predictions(
    classifier: Classifier,
    paths: Iterable[str],
    form: str = "text",
    top: int = 3,
    accuracy: float | None = None,
    strict: bool = False,
) -> None:
    """Print a line per file as soon as it is known, and at the end what could not be used.

    Args:
        form: "text", "json" or "csv".
        top: classes to show as text.
        accuracy: to promise of the answers that are not called "not sure".
        strict: stop at the first file that is no picture.

    Raises:
        UserError: the accuracy cannot be promised, or a file could not be used and `strict`.
    """
    threshold = None if accuracy is None else threshold_for(classifier, accuracy)
    names = classifier.class_names
    table = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        table.writerow(["path", "label", *(f"y_{name}" for name in names), "error"])
    counts: Counter[str] = Counter()
    for path, answer in predict(classifier, paths):
        error = str(answer) if isinstance(answer, UnusableImage) else None
        probs = {} if isinstance(answer, UnusableImage) else answer
        if strict and error is not None:
            raise UserError(f"{path}: {error}")
        sure = None if threshold is None or error else max(probs.values()) >= threshold
        label = None if error or sure is False else max(probs, key=probs.__getitem__)
        if form == "json":
            fields: dict[str, object] = {"path": path}
            fields |= {"error": error} if error else {"label": label, "probs": probs}
            fields |= {} if sure is None else {"sure": sure}
            # any terminal takes the line, and a program gets the very path back
            print(json.dumps(fields, ensure_ascii=not path.isprintable(), allow_nan=False))
        elif form == "csv":
            cells = [probs[name] for name in names] if probs else [""] * len(names)
            table.writerow([printable(path), label, *cells, error])
        else:
            print(as_text(path, probs, error, top, sure))
        sys.stdout.flush()
        counts["files"] += 1
        counts["unusable"] += error is not None
        counts["unsure"] += sure is False
    end = sys.stdout if form == "text" else sys.stderr
    if not counts["files"]:
        print("no files: the list on standard input is empty", file=sys.stderr)
    if counts["unusable"]:
        print(f"{counts['unusable']} of {counts['files']} files could not be used", file=end)
    if counts["unsure"]:
        print(f"{counts['unsure']} of {counts['files']} answers are not sure", file=end)


def as_text(path: str, probs: Probs, error: str | None, top: int, sure: bool | None) -> str:
    """wolf 0.91  dog 0.07  fox 0.02  path/of/picture.jpg"""
    if error:
        return f"unusable: {error}  {printable(path)}"
    ranked = sorted(probs.items(), key=lambda item: -item[1])[:top]
    width = max(map(len, probs))
    cells = "  ".join(f"{name:<{width}} {y:.2f}" for name, y in ranked)
    verdict = "" if sure is None else f"{'' if sure else NOT_SURE:<{len(NOT_SURE)}}  "
    return f"{verdict}{cells}  {printable(path)}"


def threshold_for(classifier: Classifier, accuracy: float) -> float:
    """Tell what validation showed for this accuracy; below the y returned, one is not sure.

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
    low, high = promise.interval
    print(
        f"sure from y = {promise.threshold:.4f} on: of {promise.num_images} validation pictures, "
        f"{promise.num_kept} ({promise.coverage:.0%}) were answered so surely, and "
        f"{promise.accuracy:.1%} of these answers were right (95 % interval {low:.1%} to "
        f"{high:.1%}); of pictures of another kind nothing is promised",
        file=sys.stderr,
    )
    return promise.threshold
