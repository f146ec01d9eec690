"""The article's derivation for one picture and one model: from y and t to E and the next step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from crossent.errors import UserError
from crossent.loss import article
from crossent.model_file import Classifier
from data.decode import Inspection, UnusableImage
from data.decode_pool import Job, decode_in_order


@dataclass(frozen=True)
class Explanation:
    """What a model said of a picture, and what was right.

    Args:
        probs: y, in the order of the class names.
        label: the right class.
        label_is_given: or else the label is what the model said itself.
    """

    path: str
    class_names: Sequence[str]
    probs: Sequence[float]
    label: str
    label_is_given: bool

    @property
    def target(self) -> list[int]:
        """t: 1 for the label, 0 for the others."""
        return [int(name == self.label) for name in self.class_names]

    @property
    def said(self) -> str:
        """The class with the largest y."""
        return self.class_names[max(range(len(self.probs)), key=self.probs.__getitem__)]

    @property
    def likelihood(self) -> float:
        return article.likelihood(self.probs, self.target)

    @property
    def log_likelihood(self) -> float:
        """Equation (5.1)."""
        return article.log_likelihood(self.probs, self.target)

    def E(self, unit: str = "nats") -> float:
        """Equation (5.2), in nats, bits or dits."""
        return article.cross_entropy(self.probs, self.target, unit)

    @property
    def perplexity(self) -> float:
        return article.perplexity(self.E())

    @property
    def baseline(self) -> float:
        return article.baseline(len(self.class_names))

    @property
    def gradient(self) -> list[float]:
        """y - t, the derivative of E by the logits."""
        return article.gradient(self.probs, self.target)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, for `explain --format json`."""

        def by_class(numbers: Sequence[float]) -> dict[str, float]:
            return dict(zip(self.class_names, numbers, strict=True))

        return {
            "path": self.path,
            "said": self.said,
            "label": self.label,
            "label_is_given": self.label_is_given,
            "y": by_class(self.probs),
            "t": by_class(self.target),
            "likelihood": self.likelihood,
            "log_likelihood": self.log_likelihood,
            "E": {unit: self.E(unit) for unit in article.LOGARITHMS},
            "exp_E": self.perplexity,
            "baseline": self.baseline,
            "gradient": by_class(self.gradient),
        }


def explain(classifier: Classifier, path: str, label: str | None = None) -> Explanation:
    """Ask a model about one picture file.

    Args:
        classifier: the trained model.
        path: of the picture.
        label: the right class; None takes the one that the model says.

    Raises:
        UserError: the file is no picture, or the model does not know the label.
    """
    names = classifier.class_names
    if label is not None and label not in names:  # the cheaper mistake is told first
        raise UserError(f"--label {label}: the model knows only {', '.join(names)}")
    (pixels,) = inspect_picture(path, (classifier.preprocessing.image_size,)).pixels
    return explain_pixels(classifier, path, pixels, label)


def inspect_picture(path: str, sizes: tuple[int, ...]) -> Inspection:
    """One file, decoded under watch to squares of these sizes.

    Raises:
        UserError: the file is no picture.
    """
    (found,) = decode_in_order([Job(path, sizes)], window=1)
    if isinstance(found, UnusableImage):
        raise UserError(f"{path}: {found}")
    return found


def explain_pixels(
    classifier: Classifier, path: str, pixels: npt.NDArray[np.uint8], label: str | None = None
) -> Explanation:
    """As `explain`, for a picture that is decoded and a label that the model knows."""
    names = classifier.class_names
    probs = probs_of(classifier, torch.tensor(pixels))
    said = names[probs.index(max(probs))]
    return Explanation(path, names, probs, label or said, label_is_given=label is not None)


def probs_of(classifier: Classifier, pixels: torch.Tensor) -> list[float]:
    """y of one picture (S, S, 3), in float64: a y that rounds to 0 would make E infinite."""
    logits = classifier.logits(pixels.unsqueeze(0)).double()  # (1, K)
    return [min(y, 1.0) for y in logits.softmax(dim=1)[0].tolist()]  # not a last bit above 1
