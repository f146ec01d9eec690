"""Evaluate a model on pictures, without training it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from crossent.device import autocast
from crossent.errors import UserError
from crossent.evaluation.scores import Ints, Outputs
from crossent.loss import cross_entropy
from data.batches import Batch, val_batches
from data.duplicates import seen_before
from data.images import ImageSet
from data.preprocess import Preprocessing

if TYPE_CHECKING:
    from crossent.model_file import Classifier


@dataclass
class Totals:
    """Sums over samples. The mean is taken at the end: a mean of batch means would be wrong."""

    E: float = 0.0  # nats
    correct: float = 0.0
    count: float = 0

    def add(self, E: float, correct: float, count: int) -> None:
        self.E += E
        self.correct += correct
        self.count += count

    def numbers(self) -> list[float]:
        """Return the sums as a list, which the processes add up."""
        return [self.E, self.correct, self.count]

    def means(self) -> dict[str, float]:
        return {"E": self.E / self.count, "accuracy": self.correct / self.count}


@dataclass(frozen=True)
class Evaluator:
    """The pictures to evaluate on, the device and the precision, but not the model.

    Args:
        rows: the pictures that this process evaluates; None for all.
    """

    image_set: ImageSet
    preprocessing: Preprocessing
    device: torch.device
    precision: str
    rows: range | None = None

    def logits(self, model: nn.Module) -> Iterator[tuple[Batch, Tensor]]:
        """Yield each batch and its logits (B, K), in the order of the sample ids."""
        model.eval()
        for batch in val_batches(self.image_set, self.preprocessing, self.device, rows=self.rows):
            with torch.inference_mode(), autocast(self.device, self.precision):
                logits = model(batch.images)
            yield batch, logits.float()

    def __call__(self, model: nn.Module, answers: Tensor | None = None) -> Totals:
        """Sum up correct predictions and the plain cross-entropy, without smoothing or weights.

        Args:
            answers: (N, 2) float64 on the CPU, for a rejection curve. The rows of this process's
                pictures are filled with the largest y, and 1 if the prediction is correct.
        """
        totals = Totals()
        for batch, logits in self.logits(model):
            # on the CPU, because Apple's mps has no float64
            E = cross_entropy(logits.cpu().double(), batch.target.cpu(), reduction="sum")
            confidence, predicted = logits.softmax(dim=1).max(dim=1)
            right = predicted == batch.target
            totals.add(E.item(), right.sum().item(), len(batch))
            if answers is not None:
                pair = torch.stack([confidence, right.float()], dim=1)
                answers[torch.from_numpy(batch.sample_ids)] = pair.cpu().double()
        return totals

    def outputs(self, model: nn.Module) -> Outputs:
        """Return the predictions of a model for all pictures."""
        logits = torch.cat([logits.cpu() for _, logits in self.logits(model)])
        return Outputs(logits.double().numpy(), np.asarray(self.image_set.labels))


def outputs_of(classifier: "Classifier", image_set: ImageSet) -> Outputs:
    """Return the predictions of a trained model; raise UserError if some are not finite."""
    evaluator = Evaluator(
        image_set, classifier.preprocessing, classifier.device, classifier.precision
    )
    outputs = evaluator.outputs(classifier.model)
    num_broken = int((~np.isfinite(outputs.logits)).any(axis=1).sum())
    if num_broken:
        raise UserError(
            f"the model's output is not finite for {num_broken} of {len(image_set)} pictures: "
            "it cannot be evaluated; train it with a smaller optim.lr"
        )
    return outputs


def new_rows(classifier: "Classifier", image_set: ImageSet) -> Ints:
    """Return the rows of pictures that the model was not trained on, nor on near-duplicates."""
    if not (classifier.trained_on and image_set.prints):
        return np.arange(len(image_set))
    return np.flatnonzero(~seen_before(classifier.trained_on, image_set.prints))
