"""One prediction, explained with the equations of the article, in numbers and in words."""

from pathlib import Path

import torch
from jinja2 import Environment, StrictUndefined

from crossent.errors import UserError
from crossent.inference.predict import Answer, predict
from crossent.loss import article, cross_entropy
from crossent.model_file import Classifier
from data.images import printable

MAX_ROWS = 6  # classes to show
# The article's worked example: an untrained network looks at a dog.
ARTICLE = Answer("the article's example", {"dog": 0.33, "fox": 0.32, "wolf": 0.35})


def predict_one(classifier: Classifier, path: str, label: str | None = None) -> Answer:
    """Return the prediction for one picture file.

    Raises:
        UserError: the file is not a picture, or the label is not a class of the model.
    """
    names = classifier.class_names
    if label not in (None, *names):  # before the slow part
        raise UserError(f"--label {label}: the classes of the model are {', '.join(names)}")
    (answer,) = predict(classifier, [path])
    if answer.error:
        raise UserError(f"{path}: {answer.error}")
    return answer


def explain(answer: Answer, label: str | None = None, language: str = "en") -> str:
    """Return the derivation of E step by step, for a terminal.

    Args:
        label: the true class; None for the predicted one.
    """
    names, y = list(answer.probs), list(answer.probs.values())
    index = names.index(label or str(answer.label))
    t = [int(k == index) for k in range(len(names))]
    slopes = article.gradient(y, t)
    ranked = sorted(range(len(y)), key=lambda k: (-t[k], -y[k]))
    rows = [(names[k], y[k], t[k], slopes[k]) for k in sorted(ranked[:MAX_ROWS])]
    logits = torch.tensor([y], dtype=torch.float64).log()  # softmax(ln y) = y
    lines = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    # a line begins with its language, or with spaces if it is the same in all languages
    own = "\n".join(line[3:] for line in lines if line[:2].strip() in ("", language))
    jinja = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    return jinja.from_string(own).render(
        article=article,
        is_article=answer is ARTICLE,
        path=printable(answer.path),
        predicted=answer.label,
        label=label,
        y=y,
        t=t,
        E={unit: article.cross_entropy(y, t, unit) for unit in article.LOGARITHMS},
        rows=rows,
        more=len(y) > MAX_ROWS,
        trained=cross_entropy(logits, torch.tensor([index])).item(),
    )
