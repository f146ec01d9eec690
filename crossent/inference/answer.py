"""What the demo's page says of a picture: bars, heat map and derivation, or why there are none."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from crossent.errors import UserError
from crossent.inference.explain import explain_pixels, inspect_picture
from crossent.inference.explain_words import as_markdown, escape
from crossent.inference.grad_cam import grad_cam
from crossent.inference.heatmap import spotlit
from crossent.model_file import Classifier
from data.decode import Inspection
from data.table import printable

SIDE = 320  # pixels, the longer side of the heat map
WELCOME = "Drop a picture, paste one, or take an example."


@dataclass(frozen=True)
class Answer:
    """Some Markdown and, where a picture came that can be used, what the model makes of it."""

    text: str
    probs: dict[str, float] | None = None  # y by class name
    heat: Image.Image | None = None


def answer(classifier: Classifier, path: str | None, label: str | None, language: str) -> Answer:
    """Ask the model about an uploaded file.

    Args:
        classifier: the trained model.
        path: None where there is no picture.
        label: the right class; None takes the one that the model says.
        language: "en" or "ja", of the derivation.
    """
    if path is None:
        return Answer(WELCOME)
    name = Path(path).name  # the folder is the server's business
    try:
        found = inspect_picture(path, (classifier.preprocessing.image_size, SIDE))
    except UserError as error:
        reason = str(error).removeprefix(f"{path}: ")
        text = f"**{escape(printable(name))} cannot be used:** {escape(reason)}."
        return Answer(f"{text} Please try another one.")
    explanation = explain_pixels(classifier, name, found.pixels[0], label)
    probs = dict(zip(explanation.class_names, explanation.probs, strict=True))
    heat = heat_map(classifier, found, explanation.label)
    return Answer(as_markdown(explanation, language), probs, heat)


def heat_map(classifier: Classifier, found: Inspection, label: str) -> Image.Image | None:
    """The picture, bright where it speaks for the label; None of a model without a map."""
    small, large = found.pixels
    try:
        (heat,) = grad_cam(
            classifier, np.array(small)[None], np.array([classifier.class_names.index(label)])
        )
    except ValueError:  # a transformer
        return None
    scale = SIDE / max(found.facts.width, found.facts.height)
    sides = (found.facts.width * scale, found.facts.height * scale)
    return spotlit(Image.fromarray(large).resize([max(1, round(side)) for side in sides]), heat)
