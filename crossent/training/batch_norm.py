"""Batch normalisation over the global batch, whatever the number of processes and the device.

torch.nn.SyncBatchNorm refuses the CPU. Without it, every process would normalise with the
statistics of its own few samples, and the numbers would depend on how many processes there are.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class GlobalNormalise(torch.autograd.Function):
    """y = weight * x_hat + bias, x_hat = (x - mean) / std, over all samples of all processes.

    With g = dE/dy and m the mean over all N H W places of all processes,
        dE/dx = weight / std * (g - m(g) - x_hat m(g x_hat))
        dE/dweight = sum g x_hat, dE/dbias = sum g,
    the last two over this process's own samples: the training loop adds gradients up.
    Source: Ioffe & Szegedy 2015, "Batch Normalization", section 3.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, var, count = global_statistics(x, weight)
        y = F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)
        ctx.save_for_backward(x, weight, mean, var, count)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, var, count)
        return y, mean, var, count

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, var, count = ctx.saved_tensors
        inv_std = torch.rsqrt(var + ctx.eps)
        # with given statistics: weight / std * g, and the sums over this process's samples
        grad_x, sum_grad_x_hat, sum_grad = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, var, mean, inv_std, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack([sum_grad_x_hat, sum_grad])
        dist.all_reduce(sums)
        slope, shift = -weight * inv_std * sums / count
        grad_x += F.batch_norm(x, mean, var, slope, shift, training=False, eps=ctx.eps)
        return grad_x, sum_grad_x_hat, sum_grad, None


def global_statistics(x: Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), variance (C,) and number of places () over the samples of all processes.

    Each process hands in the mean and the variance of its own part. The variance of the whole is
    the mean of the variances plus the variance of the means: no difference of large sums.

    Args:
        like: (C,), of the type to count in: float32 where x is bfloat16.
    """
    unused = torch.zeros_like(like), torch.zeros_like(like)  # running statistics
    mean, var = torch.batch_norm_update_stats(x, *unused, 0.0)
    count = mean.new_full((1,), x.numel() // x.shape[1])
    rows = mean.new_zeros(dist.get_world_size(), 2 * len(mean) + 1)
    rows[dist.get_rank()] = torch.cat([mean, var, count])
    dist.all_reduce(rows)  # every row but one's own is 0: this gathers, to the bit
    means, variances, counts = rows.split([len(mean), len(mean), 1], dim=1)
    share = counts / counts.sum()
    global_mean = (share * means).sum(0)
    global_var = (share * (variances + (means - global_mean) ** 2)).sum(0)
    return global_mean, global_var, counts.sum()


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d with the statistics of the global batch; the same parameters and buffers."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        y, mean, var, count = GlobalNormalise.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            assert self.num_batches_tracked is not None and self.momentum is not None
            self.num_batches_tracked += 1
            assert self.running_mean is not None and self.running_var is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * count / (count - 1), self.momentum)
        return y  # type: ignore[no-any-return]


def use_global_batch_norm(model: nn.Module) -> nn.Module:
    """Let every nn.BatchNorm2d of a model look at the global batch.

    A layer becomes one of the subclass, which only adds a method: so its parameters stay the same
    objects, and an optimizer that holds them already goes on working.
    """
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d
    return model
