"""A prediction as one line: for a person, as JSON, or as CSV.

`sure`: whether the answer is sure enough for the accuracy asked for; None where none was.
"""

import csv
import io
import json
from collections.abc import Sequence

from crossent.inference.predict import Prediction
from data.table import printable

NOT_SURE = "not sure"


def as_row(prediction: Prediction, top: int, sure: bool | None = None) -> str:
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
    """An object on one line. An answer that is not sure has a null label, so nobody takes it."""
    fields: dict[str, object] = {"path": prediction.path}
    if prediction.error is not None:
        fields["error"] = prediction.error
    else:
        fields |= {"label": None if sure is False else prediction.label, "probs": prediction.probs}
        fields |= {} if sure is None else {"sure": sure}
    return json_line(fields)


def json_line(fields: dict[str, object]) -> str:
    """JSON that any terminal takes, and from which a program gets the very path back.

    Names that are text stand there as they are; others, and bytes that are no text, are escaped.
    """
    ensure_ascii = not str(fields["path"]).isprintable()
    return json.dumps(fields, ensure_ascii=ensure_ascii, allow_nan=False)


def csv_header(class_names: Sequence[str]) -> str:
    return _csv(["path", "label", *(f"y_{name}" for name in class_names), "error"])


def as_csv(prediction: Prediction, class_names: Sequence[str], sure: bool | None = None) -> str:
    """A row below `csv_header`; the label is empty where the answer is not sure."""
    label = "" if sure is False else prediction.label
    probs = prediction.probs
    y = [probs[name] for name in class_names] if probs else [""] * len(class_names)
    return _csv([printable(prediction.path), label, *y, prediction.error])


def _csv(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
