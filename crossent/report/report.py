"""Write report.html: a run on one page, which needs no server and no network."""

import math
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from crossent.build import make_data, with_moved_pictures
from crossent.config import FIELDS, Settings, flat_values, format_value, saved_settings
from crossent.errors import UserError
from crossent.evaluation.measure import examine
from crossent.files import write_text
from crossent.model_file import load_model, model_path, read_tensors
from crossent.report.charts import chart_of_accuracy, chart_of_E, chart_of_reliability
from crossent.report.page import ENVIRONMENT, SIDE, thumbnail
from crossent.report.pictures import Gallery, first_batch
from crossent.training.run_folder import RunFolder, read_json
from data.images import Data

NUM_WORST, NUM_SHOWN, MAX_SUSPECTS = 9, 14, 18
SECTIONS = {
    "progress": "Progress", "predictions": "Predictions", "confidence": "Confidence",
    "pictures": "Largest losses", "labels": "Doubtful labels", "data": "Data", "again": "Settings",
}  # fmt: skip
OF_MODEL = {"predictions", "confidence", "pictures"}


def write_report(
    folder: RunFolder,
    device: torch.device,
    data: Data | None = None,
    overrides: Sequence[str] = (),
) -> None:
    """Write RUN/report.html from the files in the folder, even while the run is training.

    Args:
        data: the pictures of the run; None to load them.
        overrides: where the pictures are now, such as data.root=FOLDER.

    Raises:
        UserError: this is not a run folder, or a file in it is damaged.
    """
    model_path(folder.path)  # refuses a group
    folder.check_is_run()
    template = ENVIRONMENT.get_template("report.html")
    write_text(folder.report, template.render(contents(folder, device, data, overrides)))


def contents(
    folder: RunFolder, device: torch.device, data: Data | None, overrides: Sequence[str]
) -> dict[str, Any]:
    """Return the variables of the template; what does not exist yet is None or empty."""
    settings = with_moved_pictures(saved_settings(folder.config), overrides)
    environment, problem, model = read_json(folder.environment), "", {}
    if data is None:
        data, problem = load_again(settings, environment.get("data_fingerprint"))
    classifier = load_model(folder.model, device) if folder.model.exists() else None
    records, default = folder.records(), flat_values(Settings())
    epochs = [r for r in records if r["kind"] == "epoch"]
    kept = min(classifier.header["metrics"]["epoch"], len(epochs)) if classifier else 0
    charts = [chart_of_E(records, kept)] if records else []
    charts += [chart_of_accuracy(epochs)] if epochs else []
    if classifier and data and len(data.val):
        root = settings.data.folder if settings.data.source == "folder" else None
        found = examine(classifier, data.val)
        gallery = Gallery(found.image_set, classifier, root)
        worst = np.argsort(-found.outputs.losses, kind="stable")[:NUM_WORST].tolist()
        model = {
            "found": found,
            "scores": found.scores,
            "reliability": chart_of_reliability(found.outputs),
            "worst": [gallery.card(found.outputs, row) for row in worst],
            **suspects(Gallery(data.train, classifier, root), folder),
        }
    hidden = ({"labels"} - model.keys()) | (set() if model else OF_MODEL)
    preview = first_batch(settings, data, NUM_SHOWN) if data else []
    return {
        "sections": {name: title for name, title in SECTIONS.items() if name not in hidden},
        "name": folder.path.resolve().name,
        "config": settings,
        "names": records[0]["class_names"] if records else [],
        "start": records[0] if records else None,
        "is_over": bool(records) and records[-1]["kind"] == "end",
        "epochs": epochs,
        "kept": kept,
        "charts": charts,
        "data": data,
        "problem": problem,
        "preview": [thumbnail(image.resize((SIDE, SIDE)), text) for image, text in preview],
        "model": model,
        "settings": [
            (name, format_value(value), value != default[name], FIELDS[name].description)
            for name, value in flat_values(settings).items()
        ],
        "environment": environment,
        "path": shlex.quote(str(folder.path)),
        "revision": environment.get("git_revision") or "",  # null without git
    }


def suspects(gallery: Gallery, folder: RunFolder) -> dict[str, Any]:
    """Return the training pictures whose mean E over all epochs exceeds that of a uniform guess.

    Source: the idea of Huang et al. 2019, "O2U-Net: a simple noisy label detection approach".
    """
    if not folder.last.exists():
        return {}
    tensors, _ = read_tensors(folder.last)
    # nan if a picture was never drawn
    means = np.nan_to_num((tensors["samples.total"] / tensors["samples.count"]).numpy())
    num = int((means > math.log(len(gallery.classifier.class_names))).sum())
    rows = np.argsort(-means, kind="stable")[: min(MAX_SUSPECTS, num)].tolist()
    return {"labels": [gallery.suspect(row, means[row]) for row in rows], "num_suspects": num}


def load_again(settings: Settings, fingerprint: str | None) -> tuple[Data | None, str]:
    """Load the pictures of the run; return None and the reason if that is not possible."""
    try:
        data = make_data(settings)
    except UserError as error:
        return None, str(error)
    if fingerprint not in (None, data.fingerprint):
        return None, "the pictures have changed since this run was trained"
    return data, ""
