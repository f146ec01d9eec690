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

    def __call__(self, model: nn.Module) -> Tensor:
        """Return E (plain, without smoothing and weights), the largest y, and 1 if it is right.

        Shape:
            (N, 3) float64 on the CPU, which has float64 on every machine; the rows of pictures that
            other processes evaluate are 0.
        """
        found = torch.zeros(len(self.image_set), 3, dtype=torch.float64)
        for batch, logits in self.logits(model):
            z, target = logits.cpu(), batch.target.cpu()
            E = cross_entropy(z.double(), target, reduction="none")
            confidence, predicted = z.softmax(dim=1).max(dim=1)
            rows = torch.stack([E, confidence.double(), (predicted == target).double()], dim=1)
            found[torch.from_numpy(batch.sample_ids)] = rows
        return found

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
