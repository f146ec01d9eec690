"""E and right answers of training steps, and how hard each picture was over the epochs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from crossent.loss import cross_entropy
from data.sampler import Ids

GRAIN = 2.0**-20  # nats; sums of whole grains come out the same in any order


@dataclass
class SampleLosses:
    """Sums since the first step: a picture that stays hard may be labelled wrong.

    Each process has the sums over its own parts of the batches.

    Shape: total (N,) float64, nats, of -log y_own-label; count (N,) float64, steps.
    """

    total: Tensor
    count: Tensor

    @classmethod
    def zeros(cls, num_samples: int) -> "SampleLosses":
        """Return the sums before the first step."""
        return cls(*torch.zeros(2, num_samples, dtype=torch.float64))

    def add(self, sample_ids: Ids, logits: Tensor, labels: Tensor) -> None:
        """Count some samples.

        The label is the sample's own, also where mixup has blended its picture with another.

        Shape:
            sample_ids, labels (B,); logits (B, K).
        """
        losses = cross_entropy(logits.double(), labels, reduction="none").cpu()
        ids = torch.from_numpy(sample_ids)
        self.total.index_add_(0, ids, in_grains(losses))
        self.count.index_add_(0, ids, torch.ones_like(losses))

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"total": self.total, "count": self.count}


def sum_answers(logits: Tensor, target: Tensor) -> tuple[float, float]:
    """Return E and the number of right answers, summed, without smoothing or weights.

    So the train and the val columns of the log count the same thing. With mixup the target is
    soft: an answer is right by the share t_k that its class has in the mixture.

    Shape:
        logits (B, K); target (B,) class indices or (B, K) probabilities.
    """
    soft = target.ndim == 2
    E = cross_entropy(logits.double(), target.double() if soft else target, reduction="none")
    predicted = logits.argmax(dim=1, keepdim=True)
    if soft:
        right = target.double().gather(1, predicted)
    else:
        right = (predicted.squeeze(1) == target).double()
    return in_grains(E).sum().item(), in_grains(right).sum().item()


def in_grains(values: Tensor) -> Tensor:
    """Round, so that a sum does not depend on the order, on processes or on where a run stopped."""
    return (values / GRAIN).round() * GRAIN
