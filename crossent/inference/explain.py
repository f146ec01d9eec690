"""One prediction, explained with the equations of the article, in numbers and in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from crossent.errors import UserError
from crossent.inference.predict import predict
from crossent.loss import article, cross_entropy
from crossent.model_file import Classifier
from data.images import printable

MAX_ROWS = 6  # classes to show

Row = tuple[str, float, int, float]  # class, y, t and y - t


@dataclass(frozen=True)
class Explanation:
    """The prediction of a model for a picture, and the true class.

    Args:
        probs: y, in the order of the class names.
        label: the true class.
        label_is_given: False if the true class is not known, so that the predicted one is used.
    """

    path: str
    class_names: Sequence[str]
    probs: Sequence[float]
    label: str
    label_is_given: bool = True

    @property
    def target(self) -> list[int]:
        """t: 1 for the label, 0 for the others."""
        return [int(name == self.label) for name in self.class_names]

    @property
    def predicted(self) -> str:
        """The class with the largest y."""
        return self.class_names[max(range(len(self.probs)), key=self.probs.__getitem__)]

    def E(self, unit: str = "nats") -> float:
        """Return equation (5.2) in nats, bits or dits."""
        return article.cross_entropy(self.probs, self.target, unit)

    def rows(self, others: str = "{} others") -> list[Row]:
        """Return the true class, the most probable classes, and one row for all others."""
        gradient = article.gradient(self.probs, self.target)
        columns = list(zip(self.class_names, self.probs, self.target, gradient, strict=True))
        ranked = sorted(range(len(columns)), key=lambda k: (-self.target[k], -self.probs[k]))
        rows = [columns[k] for k in sorted(ranked[:MAX_ROWS])]
        if count := len(columns) - len(rows):
            y = max(0.0, 1 - sum(y for _, y, *_ in rows))
            rows.append((others.format(count), y, 0, y))
        return rows


# The article's worked example: an untrained network looks at a dog.
ARTICLE = Explanation("the article's example", ("dog", "fox", "wolf"), (0.33, 0.32, 0.35), "dog")


def explain(classifier: Classifier, path: str, label: str | None = None) -> Explanation:
    """Return the prediction for one picture file, with the true class.

    Args:
        label: the true class; None for the predicted one.

    Raises:
        UserError: the file is not a picture, or the label is not a class of the model.
    """
    names = classifier.class_names
    if label not in (None, *names):  # before the slow part
        raise UserError(f"--label {label}: the classes of the model are {', '.join(names)}")
    (answer,) = predict(classifier, [path])
    if answer.label is None:
        raise UserError(f"{path}: {answer.error}")
    y = list(answer.probs.values())
    return Explanation(path, names, y, label or answer.label, label is not None)


def in_words(e: Explanation, language: str = "en") -> str:
    """Return the derivation step by step, for a terminal."""
    templates = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(
        loader=templates, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    rows = e.rows()
    dots = ["..."] if len(rows) > MAX_ROWS else []
    logits = torch.tensor([e.probs], dtype=torch.float64).log()  # softmax(ln y) = y
    return environment.get_template(f"explain.{language}.txt").render(
        e=e,
        article=article,
        is_article=e is ARTICLE,
        path=printable(e.path),
        factors=" x ".join([f"{y:.4f}^{t}" for _, y, t, _ in rows[:MAX_ROWS]] + dots),
        terms=" + ".join([f"{t} ln {y:.4f}" for _, y, t, _ in rows[:MAX_ROWS]] + dots),
        slopes=", ".join([f"{slope:+.4f}" for *_, slope in rows[:MAX_ROWS]] + dots),
        trained=cross_entropy(logits, torch.tensor([e.target.index(1)])).item(),
    )
