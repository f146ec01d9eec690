"""report.html: a run on one page that one can send, without a server and without a network."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from crossent.config import FIELDS, flat_values, format_value
from crossent.evaluation.confidence import SHARES
from crossent.evaluation.scores import Metrics, Scores
from crossent.files import write_text
from crossent.model_file import Classifier
from crossent.report.charts import (
    chart_of_accuracy,
    chart_of_coverage,
    chart_of_lr,
    chart_of_reliability,
)
from crossent.report.curve import chart_of_E
from crossent.report.pictures import VIEW_TITLES, Gallery, in_units, shares_as_image
from crossent.report.run import RecordedRun, read_run
from crossent.training.console import duration
from crossent.training.run_folder import RunFolder
from data.images import Data

MAX_EPOCHS = 100  # rows of the table
MAX_CELLS = 20  # classes of a confusion matrix with a number in every cell
MAX_CLASSES = 200  # rows of the table of classes
NUM_PAIRS = 5
NUM_WORST, NUM_BEST = 8, 4
MAX_SUSPECTS = 18


def write_report(folder: RunFolder, device: torch.device, data: Data | None = None) -> None:
    """Write RUN/report.html from what the folder holds now; at any time, also while it trains.

    Args:
        data: the pictures, if the caller has them already.

    Raises:
        UserError: this is no run folder, or a file in it is damaged.
    """
    run = read_run(folder, device, data)
    write_text(folder.report, make_environment().get_template("report.html").render(contents(run)))


def make_environment() -> Environment:
    """Return jinja2 such that whatever a template inserts is readable and escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        finalize=readable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(short=shorten, duration=duration, in_units=in_units)
    return environment


def readable(value: object) -> object:
    """Mark what no HTML file may hold, control characters and lone surrogates, in any text."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(c if is_readable(c) else "\N{REPLACEMENT CHARACTER}" for c in value)


def is_readable(character: str) -> bool:
    code = ord(character)
    return character in "\t\n" or (code >= 0x20 and not 0x7F <= code < 0xA0 and code >> 11 != 0x1B)


def shorten(text: str, most: int = 60) -> str:
    """Return the text with its middle left out if it is long."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def contents(run: RecordedRun) -> dict[str, Any]:
    """Return all that the template shows, by name."""
    charts = []
    if run.start:
        charts.append(chart_of_E(run.records, run.settings.train.keep))
    if run.start and run.epochs:
        charts += [chart_of_accuracy(run.epochs, len(run.class_names)), chart_of_lr(run.epochs)]
    values = flat_values(run.settings)
    return {
        "run": run,
        "name": run.folder.path.resolve().name,
        "charts": charts,
        "epochs": thin(run.epochs, MAX_EPOCHS),
        "settings": [
            (name, format_value(value), run.origins.get(name, "default"), FIELDS[name].description)
            for name, value in values.items()
        ],
        "environment": {name: in_words(value) for name, value in run.environment.items()},
        "commands": commands(run),
        "model": contents_of_model(run),
    }


def contents_of_model(run: RecordedRun) -> dict[str, Any] | None:
    """Return what takes a model and its pictures; None without them."""
    found, classifier, data = run.findings, run.classifier, run.data
    if found is None or classifier is None or data is None:
        return None
    gallery = Gallery(data.val, classifier, run.root)
    outputs, metrics = found.outputs, found.scores.metrics
    order = np.argsort(-outputs.losses, kind="stable").tolist()
    num_best = min(NUM_BEST, len(order) // 2)
    num_worst = min(NUM_WORST, len(order) - num_best)
    return {
        "epoch": classifier.header["metrics"].get("epoch"),
        "scores": found.scores,
        "confusion": confusion(metrics),
        "classes": classes_to_show(found.scores),
        "pairs": [
            (true, predicted, count, gallery.confused(outputs, true, predicted))
            for true, predicted, count in metrics.most_confused()[:NUM_PAIRS]
        ],
        "calibration": found.calibration,
        "charts": [chart_of_reliability(found.calibration), chart_of_coverage(found.coverage)],
        "shares": [(share, *found.coverage.at(share)) for share in SHARES],
        "worst": gallery.cards(outputs, order[:num_worst]),
        "best": gallery.cards(outputs, order[::-1][:num_best]),
        "shortcuts": found.shortcuts,
        "view_titles": VIEW_TITLES,
        "views": gallery.views(outputs),
        **suspects(run, classifier, data),
    }


def confusion(metrics: Metrics) -> dict[str, Any]:
    """Return the shares of each row, and of many classes a picture of them."""
    shares = metrics.confusion / np.maximum(metrics.support, 1)[:, None]
    image = shares_as_image(shares) if len(shares) > MAX_CELLS else None
    return {"counts": metrics.confusion.tolist(), "shares": shares.tolist(), "image": image}


def classes_to_show(scores: Scores) -> Sequence[int]:
    """Return all classes, or of very many those with the smallest F1."""
    if len(scores.f1) <= MAX_CLASSES:
        return range(len(scores.f1))
    worst: list[int] = np.argsort([i.value for i in scores.f1])[:MAX_CLASSES].tolist()
    return worst


def suspects(run: RecordedRun, classifier: Classifier, data: Data) -> dict[str, Any]:
    """Return the training pictures whose mean E over all epochs was above that of guessing.

    Source: the idea of Huang et al. 2019, "O2U-Net: a simple noisy label detection approach".
    """
    if run.sample_losses is None:
        return {"suspects": None}
    losses = np.nan_to_num(run.sample_losses.numpy())
    above = losses > math.log(len(classifier.class_names))
    rows = np.argsort(-losses, kind="stable")[: min(MAX_SUSPECTS, int(above.sum()))].tolist()
    shown = Gallery(data.train, classifier, run.root).suspects(losses, rows) if rows else []
    return {"suspects": shown, "num_suspects": int(above.sum()), "num_train": len(data.train)}


def thin(rows: Sequence[Any], most: int) -> list[Any]:
    """Return at most so many rows, evenly spaced, the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]


def in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {version}" for key, version in value.items())
    return shlex.join(map(str, value)) if isinstance(value, list) else str(value)


def commands(run: RecordedRun) -> list[str]:
    """Return the commands that make this run again."""
    path = shlex.quote(str(run.folder.path))
    revision = run.environment.get("git_revision")
    checkout = [f"git checkout {revision.removesuffix('+changes')}"] if revision else []
    return [*checkout, f"python train.py -c {path}/config.yaml --out {path}-again"]
