"""The coefficients c_nk of `plain.py`, by the block, and without a matrix where none is needed.

Logits are (N, K, D) here, with D all further dimensions together (1 when there are none), and what
belongs to a sample is (N, 1, D). A block is a pair of slices, of N and of D.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crossent.loss.arguments import out_of_range

Block = tuple[slice, slice, slice]  # of N, K (whole) and D


@dataclass(frozen=True)
class IndexLabels:
    """c_nk = even_k + spike_n in the place of the class index; all 0 for an ignored sample."""

    index: Tensor  # (N, 1, D) int64, 0 for an ignored sample
    spike: Tensor  # (N, 1, D) w (1 - s) of the class named
    total: Tensor  # (N, 1, D) sum_k c_nk
    even: Tensor | None  # (K, 1), or (1, 1) when the same for all: w_k s/K; None without smoothing
    ignored: Tensor | None  # (N, 1, D) bool; None when no sample is

    def at(self, block: Block) -> "IndexLabels":
        """Return the labels of a block."""
        ignored = None if self.ignored is None else self.ignored[block]
        return replace(
            self,
            index=self.index[block],
            spike=self.spike[block],
            total=self.total[block],
            ignored=ignored,
        )

    def dot(self, logits: Tensor, top: Tensor, room: Tensor) -> Tensor:
        """Return sum_k c_nk (z_nk - top_n).  # (N, 1, D)

        Args:
            room: (N, K, D) to work in.
        """
        result = self.spike * (logits.gather(1, self.index) - top)
        if self.even is None:
            return result  # classes that no index names take no part, not even with 0 * -inf
        torch.sub(logits, top, out=room)
        if self.even.size(0) == 1:
            return result + self.even * room.sum(1, keepdim=True)
        return result + torch.einsum("k,nkd->nd", self.even[:, 0], room).unsqueeze(1)

    def subtract_from(self, values: Tensor, scale: Tensor) -> None:
        """Subtract c_nk scale_n from values, in place."""
        values.scatter_add_(1, self.index, -self.spike * scale)
        if self.even is not None:
            values.sub_(self.even * scale)


@dataclass(frozen=True)
class Probabilities:
    """c_nk = w_k ((1 - s) t_nk + s/K), formed a block at a time."""

    target: Tensor  # (N, K, D)
    weight: Tensor | None  # (K, 1)
    label_smoothing: float
    dtype: torch.dtype

    def at(self, block: Block) -> "Coefficients":
        """Return the coefficients of a block."""
        label = self.target[block].to(self.dtype)
        if self.label_smoothing:
            share = torch.tensor(self.label_smoothing / label.size(1), dtype=self.dtype)
            label = torch.add(share, label, alpha=1 - self.label_smoothing)
        coefficient = label if self.weight is None else label * self.weight
        return Coefficients(coefficient, coefficient.sum(1, keepdim=True))


@dataclass(frozen=True)
class Coefficients:
    """A block of c_nk, written out."""

    coefficient: Tensor  # (N, K, D)
    total: Tensor  # (N, 1, D)
    ignored: None = None

    def dot(self, logits: Tensor, top: Tensor, room: Tensor) -> Tensor:
        """Return sum_k c_nk (z_nk - top_n), working in `room`.  # (N, 1, D)"""
        return torch.sub(logits, top, out=room).mul_(self.coefficient).sum(1, keepdim=True)

    def subtract_from(self, values: Tensor, scale: Tensor) -> None:
        """Subtract c_nk scale_n from values, in place."""
        values.addcmul_(self.coefficient, scale, value=-1)


def index_labels(
    target: Tensor,
    num_classes: int,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    dtype: torch.dtype,
) -> tuple[IndexLabels, Tensor]:
    """Return the labels of class indices (N, ...), and the weight of those that are not ignored.

    Raises:
        IndexError: an index is no class.
    """
    ignored = target == ignore_index
    some_ignored = bool(ignored.any())
    index = torch.where(ignored, 0, target) if some_ignored else target
    if index.numel() and not (index.min() >= 0 and index.max() < num_classes):
        raise out_of_range(target, num_classes, ignore_index)
    label_weight = torch.ones_like(index, dtype=dtype) if weight is None else weight[index]
    label_weight = label_weight.masked_fill(ignored, 0)
    spike, total = label_weight * (1 - label_smoothing), label_weight
    even = None
    if label_smoothing:
        even = torch.ones(1, 1, dtype=dtype) if weight is None else weight.unsqueeze(1)
        even = even * (label_smoothing / num_classes)
        total = spike + (label_smoothing if weight is None else even.sum())
    axes = (three_axes(tensor.unsqueeze(1)) for tensor in (index, spike, total, ignored))
    index, spike, total, ignored = axes
    labels = IndexLabels(index, spike, total, even, ignored if some_ignored else None)
    return labels, label_weight.sum()


def three_axes(tensor: Tensor) -> Tensor:
    """Return (N, K, ...) as (N, K, D): a view, unless the further axes cannot be joined."""
    return tensor.unsqueeze(2) if tensor.dim() == 2 else tensor.flatten(2)
