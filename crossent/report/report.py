"""report.html: a run on one page that one can send, without a server and without a network."""

import csv
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crossent.build import make_data, with_moved_pictures
from crossent.config import FIELDS, Settings, flat_values, format_value, load_settings
from crossent.errors import UserError
from crossent.evaluation.measure import examine
from crossent.files import write_text
from crossent.model_file import Classifier, load_model, model_path
from crossent.report.charts import chart_of_accuracy, chart_of_E, chart_of_reliability
from crossent.report.page import SIDE, make_environment, make_thumbnail
from crossent.report.pictures import VIEW_TITLES, Gallery, first_batch
from crossent.tensor_file import read_tensors
from crossent.training.run_folder import RunFolder, read_json
from data.images import Data

MAX_CLASSES = 200  # rows of the table of classes
NUM_PAIRS, NUM_WORST, NUM_SHOWN, MAX_SUSPECTS = 6, 9, 14, 18


def write_report(
    folder: RunFolder,
    device: torch.device,
    data: Data | None = None,
    overrides: Sequence[str] = (),
) -> None:
    """Write RUN/report.html from what the folder holds now; at any time, also while it trains.

    Args:
        data: the pictures, if the caller has them already; else they are loaded again.
        overrides: where the pictures are now, such as data.root=FOLDER.

    Raises:
        UserError: this is no run folder, or a file in it is damaged.
    """
    model_path(folder.path)
    if not folder.config.is_file():
        raise UserError(f"{folder.path} is not a run folder: it has no config.yaml")
    template = make_environment().get_template("report.html")
    write_text(folder.report, template.render(contents(folder, device, data, overrides)))


def contents(
    folder: RunFolder, device: torch.device, data: Data | None, overrides: Sequence[str]
) -> dict[str, Any]:
    """Return all that the template shows, by name; what is not there yet is None, or empty."""
    settings = with_moved_pictures(load_settings(folder.config).settings, overrides)
    environment = read_json(folder.environment)
    problem = ""
    if data is None:
        data, problem = load_again(settings, environment.get("data_fingerprint"))
    classifier = load_model(folder.model, device) if folder.model.exists() else None
    losses, time_s = read_checkpoint(folder.last)
    records, origins = folder.records(), read_json(folder.origins)
    epochs = [r for r in records if r["kind"] == "epoch"]
    names = records[0]["class_names"] if records else []
    charts = [chart_of_E(records, settings.train.keep)] if records else []
    charts += [chart_of_accuracy(epochs, len(names))] if epochs else []
    can_examine = classifier is not None and data is not None and len(data.val) > 0
    root = settings.data.folder if settings.data.source == "folder" else None
    return {
        "name": folder.path.resolve().name,
        "config": settings,
        "class_names": classifier.class_names if classifier else names,
        "start": records[0] if records else None,
        "is_over": bool(records) and records[-1]["kind"] == "end",
        "num_epochs": len(epochs),
        "epochs": epochs,
        "charts": charts,
        "data": data,
        "problem": problem,
        "preview": [
            make_thumbnail(image.resize((SIDE, SIDE)), text)
            for image, text in (first_batch(settings, data, NUM_SHOWN) if data else [])
        ],
        "unusable": read_unusable(folder.path / "unusable.csv"),
        "has_model": classifier is not None,
        "model": contents_of_model(classifier, data, losses, root) if can_examine else None,  # type: ignore[arg-type]
        "time_s": records[-1].get("time_s", time_s) if records else time_s,
        "view_titles": VIEW_TITLES,
        "settings": [
            (name, format_value(value), origins.get(name, "default"), FIELDS[name].description)
            for name, value in flat_values(settings).items()
        ],
        "environment": environment,
        "path": shlex.quote(str(folder.path)),
        "revision": environment.get("git_revision") or "",  # null without git
    }


def contents_of_model(
    classifier: Classifier, data: Data, losses: torch.Tensor | None, root: str | None
) -> dict[str, Any]:
    """Return what takes a model and its pictures.

    Args:
        losses: mean E of each training picture; nan where it was never drawn.
        root: the folder of the pictures, if they are files.
    """
    found = examine(classifier, data.val)
    gallery = Gallery(found.image_set, classifier, root)
    outputs, scores = found.outputs, found.scores
    order = np.argsort(-outputs.losses, kind="stable").tolist()
    worst = [gallery.card(outputs, row) for row in order[:NUM_WORST]]
    worst_f1 = np.argsort([i.value for i in scores.f1])[:MAX_CLASSES].tolist()
    return {
        "epoch": classifier.header["metrics"].get("epoch"),
        "found": found,
        "scores": scores,
        "classes": sorted(worst_f1),
        "pairs": [
            (true, predicted, count, gallery.confused(outputs, true, predicted))
            for true, predicted, count in scores.most_confused()[:NUM_PAIRS]
        ],
        "reliability": chart_of_reliability(found.calibration),
        "shares": [(s, kept.interval, kept.threshold) for s, kept in found.coverage.items()],
        "worst": worst,
        "has_heat_maps": any(len(card.views) > 1 for card in worst),
        "views": gallery.views(outputs),
        **suspects(Gallery(data.train, classifier, root), losses),
    }


def suspects(gallery: Gallery, mean_losses: torch.Tensor | None) -> dict[str, Any]:
    """Return the training pictures whose mean E over all epochs was above that of guessing.

    Source: the idea of Huang et al. 2019, "O2U-Net: a simple noisy label detection approach".
    """
    if mean_losses is None:
        return {"suspects": None}
    losses = np.nan_to_num(mean_losses.numpy())
    num = int((losses > math.log(len(gallery.classifier.class_names))).sum())
    rows = np.argsort(-losses, kind="stable")[: min(MAX_SUSPECTS, num)].tolist()
    shown = gallery.suspects(losses, rows)
    return {"suspects": shown, "num_suspects": num, "num_train": len(losses)}


def load_again(settings: Settings, fingerprint: str | None) -> tuple[Data | None, str]:
    """Load the pictures, if they are still those of the run; else say why not."""
    try:
        data = make_data(settings)
    except UserError as error:
        return None, str(error)
    if fingerprint not in (None, data.fingerprint):
        return None, "the pictures have changed since this run was trained"
    return data, ""


def read_unusable(path: Path) -> list[dict[str, str]]:
    """Return path and reason of each file that was left out."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_checkpoint(path: Path) -> tuple[torch.Tensor | None, dict[str, float]]:
    """Return the mean loss of each training picture, and the seconds spent so far."""
    if not path.is_file():
        return None, {}
    tensors, header = read_tensors(path)
    time_s = header["progress"].get("time_s", {})
    if "samples.total" not in tensors:
        return None, time_s
    return tensors["samples.total"] / tensors["samples.count"], time_s
