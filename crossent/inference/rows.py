"""Predictions as lines: for a person, as JSON, or as CSV.

`sure`: whether an answer is sure enough for the accuracy asked for; None where none was.
"""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TextIO

from crossent.errors import UserError
from crossent.evaluation.confidence import Promise
from crossent.inference.predict import Prediction, predict, promise_of
from crossent.model_file import Classifier
from data.table import printable

NOT_SURE = "not sure"


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
    names = classifier.class_names
    promise = None if accuracy is None else promise_of(classifier, accuracy)
    if promise:
        print(promise_in_words(promise), file=sys.stderr)
    if form == "csv":
        print(csv_line(["path", "label", *(f"y_{name}" for name in names), "error"]))
    counts: Counter[str] = Counter()
    for prediction in predict(classifier, paths):
        if strict and prediction.error is not None:
            raise UserError(f"{prediction.path}: {prediction.error}")
        sure = None if promise is None else prediction.confidence >= promise.threshold
        if form == "json":
            line = as_json(prediction, sure)
        else:
            line = (
                as_csv(prediction, names, sure) if form == "csv" else as_text(prediction, top, sure)
            )
        print(line, flush=True)
        counts["files"] += 1
        counts["unusable"] += prediction.error is not None
        counts["unsure"] += prediction.error is None and sure is False
    print_counts(counts, sys.stdout if form == "text" else sys.stderr)


def promise_in_words(promise: Promise) -> str:
    low, high = promise.interval
    return (
        f"sure from y = {promise.threshold:.4f} on: of {promise.num_images} validation pictures, "
        f"{promise.num_kept} ({promise.coverage:.0%}) were answered so surely, and "
        f"{promise.accuracy:.1%} of these answers were right (95 % interval {low:.1%} to "
        f"{high:.1%}); of pictures of another kind nothing is promised"
    )


def print_counts(counts: Counter[str], file: TextIO) -> None:
    if not counts["files"]:
        print("no files: the list on standard input is empty", file=sys.stderr)
    if counts["unusable"]:
        print(f"{counts['unusable']} of {counts['files']} files could not be used", file=file)
    if counts["unsure"]:
        print(f"{counts['unsure']} of {counts['files']} answers are not sure", file=file)


def as_text(prediction: Prediction, top: int, sure: bool | None = None) -> str:
    """wolf 0.91  dog 0.07  fox 0.02  path/of/picture.jpg"""
    path = printable(prediction.path)
    if prediction.probs is None:
        return f"unusable: {prediction.error}  {path}"
    ranked = sorted(prediction.probs.items(), key=lambda item: -item[1])[:top]
    width = max(len(name) for name in prediction.probs)
    cells = "  ".join(f"{name:<{width}} {y:.2f}" for name, y in ranked)
    verdict = "" if sure is None else f"{'' if sure else NOT_SURE:<{len(NOT_SURE)}}  "
    return f"{verdict}{cells}  {path}"


def as_json(prediction: Prediction, sure: bool | None = None) -> str:
    """Return an object on one line; its label is null where the answer is not sure."""
    fields: dict[str, object] = {"path": prediction.path}
    if prediction.error is not None:
        fields["error"] = prediction.error
    else:
        fields |= {"label": None if sure is False else prediction.label, "probs": prediction.probs}
        fields |= {} if sure is None else {"sure": sure}
    return json_line(fields)


def json_line(fields: dict[str, object]) -> str:
    """Return JSON that any terminal takes, and from which a program gets the very path back.

    Names that are text stand there as they are; others, and bytes that are no text, are escaped.
    """
    ensure_ascii = not str(fields["path"]).isprintable()
    return json.dumps(fields, ensure_ascii=ensure_ascii, allow_nan=False)


def as_csv(prediction: Prediction, class_names: Sequence[str], sure: bool | None = None) -> str:
    """Return a row; its label is empty where the answer is not sure."""
    label = "" if sure is False else prediction.label
    probs = prediction.probs
    y = [probs[name] for name in class_names] if probs else [""] * len(class_names)
    return csv_line([printable(prediction.path), label, *y, prediction.error])


def csv_line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
