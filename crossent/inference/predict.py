"""What is on these pictures? Files are decoded on all cores while the model works."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, tee

import numpy as np
import torch

from crossent.errors import UserError
from crossent.evaluation.confidence import Promise, keep_promise
from crossent.model_file import Classifier
from data.decode import UnusableImage
from data.decode_pool import Result, decode_in_order

BATCH_SIZE = 64
WINDOW = 4 * BATCH_SIZE  # files in hand: the next batches are decoded while the model works


@dataclass(frozen=True)
class Prediction:
    """A path with either its probabilities or the reason why there are none."""

    path: str
    probs: dict[str, float] | None = None  # y by class name
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The most probable class."""
        return max(self.probs.items(), key=lambda item: item[1])[0] if self.probs else None

    @property
    def confidence(self) -> float:
        """The largest y; 0 for a file that could not be used."""
        return max(self.probs.values()) if self.probs else 0.0


def predict(classifier: Classifier, paths: Iterable[str]) -> Generator[Prediction, None, None]:
    """Predict file by file, in the order given, however many there are.

    Files are decoded in processes of their own, with the limits of training: one that crashes a
    decoder or never ends costs itself only. At most `WINDOW` pictures and a batch are in memory.

    Args:
        classifier: the trained model.
        paths: taken as they are needed.
    """
    names, to_open = tee(paths)
    decoded = decode_in_order(to_open, [classifier.preprocessing.image_size], WINDOW)
    found = zip(decoded, names, strict=False)
    while chunk := list(islice(found, BATCH_SIZE)):
        yield from predict_batch(classifier, chunk)


def predict_batch(
    classifier: Classifier, chunk: Sequence[tuple[Result, str]]
) -> Iterator[Prediction]:
    """Yield predictions for decoded pictures, errors for the others."""
    usable = [r.pixels[0] for r, _ in chunk if not isinstance(r, UnusableImage)]
    rows: Iterator[list[float]] = iter([])
    if usable:
        rows = iter(classifier.probs(torch.from_numpy(np.stack(usable))).tolist())
    for result, path in chunk:
        if isinstance(result, UnusableImage):
            yield Prediction(path, error=str(result))
        else:
            yield Prediction(path, probs=dict(zip(classifier.class_names, next(rows), strict=True)))


def promise_of(classifier: Classifier, accuracy: float) -> Promise:
    """Return the threshold below which an answer is "not sure", from the curve kept in the model.

    Raises:
        UserError: the model has no such curve, or the accuracy cannot be promised.
    """
    metrics = classifier.header["metrics"]
    if "rejection" not in metrics:
        raise UserError("--accuracy: this model was stored without a rejection curve; train anew")
    try:
        return keep_promise(metrics["rejection"], metrics["num_images"], accuracy)
    except ValueError as error:
        raise UserError(f"--accuracy: {error}; ask for another one") from None
