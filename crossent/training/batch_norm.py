"""Batch normalisation: its running statistics, and its statistics over the global batch.

If each process normalised with its own samples, the results would depend on the number of
processes. torch.nn.SyncBatchNorm does not run on a CPU.
"""

from typing import Any

import torch
from torch import Tensor, nn

from crossent.training.distributed import add_up

MOMENTUM = 0.1  # share of the last batch in the running statistics: torch's default


class Sum(torch.autograd.Function):
    """The sum over all processes; its derivative is also one, as each process has a part of E."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        return add_up(own.clone())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return add_up(grad.clone())


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d with the statistics of the global batch.

    y = weight (x - mean) / std + bias, with mean (C,) and std (C,) over N, H, W and all processes.
    Source: Ioffe & Szegedy 2015, "Batch Normalization", section 3.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        dtype = self.weight.dtype  # float32, also where autocast makes x bfloat16
        z = x.to(dtype)
        mean, var, count = global_statistics(z)
        assert self.num_batches_tracked is not None and self.momentum is not None
        assert self.running_mean is not None and self.running_var is not None
        unbiased = var * (count / (count - 1))
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.detach().to(dtype), self.momentum)
        self.running_var.lerp_(unbiased.detach().to(dtype), self.momentum)
        scale = self.weight * torch.rsqrt(var + self.eps).to(dtype)
        bias, mean, scale = (t.view(-1, 1, 1) for t in (self.bias, mean.to(dtype), scale))
        return torch.addcmul(bias, z - mean, scale).to(x.dtype)


def global_statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (C,), variance (C,) and count N H W (1,), over the samples of all processes.

    Sums are float64, so that the difference of two large sums has the accuracy of float32.
    """
    var, mean = (t.double() for t in torch.var_mean(x, dim=(0, 2, 3), correction=0))
    own = torch.cat([mean, var + mean.square(), mean.new_ones(1)]) * (x.numel() // x.shape[1])
    mean, mean_square, count = Sum.apply(own).split([len(mean), len(mean), 1])
    mean = mean / count
    return mean, (mean_square / count - mean.square()).clamp(min=0), count


def use_global_batch_norm(model: nn.Module) -> None:
    """Make every nn.BatchNorm2d of a model a GlobalBatchNorm2d, in place."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d


def set_momentum(model: nn.Module, step: int) -> None:
    """Make the running statistics plain means at first: momentum 1/n at batch n, at least 0.1.

    With 0.1 from the start, the initial mean 0 and variance 1 would still count after a short first
    epoch, and E on validation would be above ln K. Not for pretrained statistics: the first batch
    would replace them.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = max(MOMENTUM, 1 / (step + 1))
