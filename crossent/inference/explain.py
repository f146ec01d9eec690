"""One prediction with all that follows from it by the article's equations, from y and t to E."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from crossent.errors import UserError
from crossent.loss import article
from crossent.model_file import Classifier
from data.decode import Inspection, UnusableImage
from data.decode_pool import decode_in_order

MAX_ROWS = 6  # classes to show; 1,000 of them would fill pages with zeros


@dataclass(frozen=True)
class Explanation:
    """What a model predicted for a picture, and what is right.

    Args:
        probs: y, in the order of the class names.
        label: the true class.
        label_is_given: or else the label is the predicted class.
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
        """Equation (5.2), in nats, bits or dits."""
        return article.cross_entropy(self.probs, self.target, unit)

    def rows(self, most: int = MAX_ROWS) -> list[tuple[str, float, int, float]]:
        """Class, y, t and y - t of the label and of the most probable classes, in their order."""
        gradient = article.gradient(self.probs, self.target)
        columns = list(zip(self.class_names, self.probs, self.target, gradient, strict=True))
        ranked = sorted(range(len(columns)), key=lambda k: (-self.target[k], -self.probs[k]))
        return [columns[k] for k in sorted(ranked[:most])]

    def others(self, most: int = MAX_ROWS) -> tuple[int, float]:
        """How many classes `rows` leaves out, and the sum of their y, which is that of y - t."""
        rows = self.rows(most)
        return len(self.probs) - len(rows), max(0.0, 1 - sum(y for _, y, *_ in rows))

    def to_dict(self) -> dict[str, Any]:
        """All numbers, for `explain --format json`."""

        def by_class(numbers: Sequence[float]) -> dict[str, float]:
            return dict(zip(self.class_names, numbers, strict=True))

        return {
            "path": self.path,
            "said": self.predicted,
            "label": self.label,
            "label_is_given": self.label_is_given,
            "y": by_class(self.probs),
            "t": by_class(self.target),
            "likelihood": article.likelihood(self.probs, self.target),
            "log_likelihood": article.log_likelihood(self.probs, self.target),
            "E": {unit: self.E(unit) for unit in article.LOGARITHMS},
            "exp_E": article.perplexity(self.E()),
            "baseline": article.baseline(len(self.class_names)),
            "gradient": by_class(article.gradient(self.probs, self.target)),
        }


# The article's worked example: an untrained network looks at a dog.
ARTICLE = Explanation("the article's example", ("dog", "fox", "wolf"), (0.33, 0.32, 0.35), "dog")


def explain(classifier: Classifier, path: str, label: str | None = None) -> Explanation:
    """Ask a model about one picture file.

    Args:
        classifier: the trained model.
        path: of the picture.
        label: the true class; None takes the one that the model predicts.

    Raises:
        UserError: the file is no picture, or the model does not know the label.
    """
    names = classifier.class_names
    if label is not None and label not in names:  # the cheaper mistake is told first
        raise UserError(f"--label {label}: the model knows only {', '.join(names)}")
    found = inspect_picture(path, classifier.preprocessing.image_size)
    return explain_inspected(classifier, path, found, label)


def inspect_picture(path: str, *sizes: int) -> Inspection:
    """Decode one file, within the limits of training, to squares of these sizes.

    Raises:
        UserError: the file is no picture.
    """
    (found,) = decode_in_order([path], sizes, window=1)
    if isinstance(found, UnusableImage):
        raise UserError(f"{path}: {found}")
    return found


def explain_inspected(
    classifier: Classifier, path: str, found: Inspection, label: str | None
) -> Explanation:
    """As `explain`, for a picture that is decoded, first to the model's size."""
    # in float64: a y that rounds to 0 would make E infinite
    logits = classifier.logits(torch.tensor(found.pixels[0])[None]).double()  # (1, K)
    probs = [min(y, 1.0) for y in logits.softmax(dim=1)[0].tolist()]  # not a last bit above 1
    predicted = classifier.class_names[probs.index(max(probs))]
    return Explanation(path, classifier.class_names, probs, label or predicted, label is not None)
