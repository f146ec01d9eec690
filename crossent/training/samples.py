"""How hard each training picture was over the epochs: what stays hard may be labelled wrong."""

from dataclasses import dataclass

import torch
from torch import Tensor

from crossent.loss import cross_entropy
from data.sampler import Ids

GRAIN = 2.0**-20  # nats; sums of whole grains come out the same in any order


@dataclass
class SampleLosses:
    """Sums since the first step. With several processes, each has its own samples' part.

    Shape: total (N,) float64, nats, of -log y_own-label; count (N,) float64, steps.
    """

    total: Tensor
    count: Tensor

    @classmethod
    def zeros(cls, num_samples: int) -> "SampleLosses":
        """Before the first step."""
        return cls(*torch.zeros(2, num_samples, dtype=torch.float64))

    def add(self, sample_ids: Ids, logits: Tensor, labels: Tensor) -> None:
        """Count one step.

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


def in_grains(values: Tensor) -> Tensor:
    """Round, so that a sum does not depend on the order, on processes or on where a run stopped."""
    return (values / GRAIN).round() * GRAIN
