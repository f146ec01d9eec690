"""Batch normalisation over the global batch; torch.nn.SyncBatchNorm refuses the CPU.

Otherwise every process would normalise with the statistics of its own few samples, and the numbers
would depend on how many processes there are.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossent.training.distributed import Processes


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
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor,
        num_places: Tensor, layer: "GlobalBatchNorm2d",
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, weight, mean, var, num_places)
        ctx.layer = layer
        return F.batch_norm(x, mean, var, weight, bias, training=False, eps=layer.eps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var, num_places = ctx.saved_tensors
        eps, processes = ctx.layer.eps, ctx.layer.processes
        inv_std = torch.rsqrt(var + eps)
        _, sum_grad_x_hat, sum_grad = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, var, mean, inv_std, False, eps, [False, True, True]
        )  # over this process's samples
        m_grad_x_hat, m_grad = processes.add(torch.stack([sum_grad_x_hat, sum_grad])) / num_places
        # weight / std in the type of x, in which g is too: then all of g - ... is scaled alike
        factor = (weight * inv_std).to(x.dtype)
        rest = F.batch_norm(
            x, mean, var, -factor * m_grad_x_hat, -factor * m_grad, training=False, eps=eps
        )
        grad_x = rest.addcmul_(grad, factor.view(1, -1, 1, 1))
        return grad_x, sum_grad_x_hat, sum_grad, None, None, None, None


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d with the statistics of the global batch; the same parameters and buffers."""

    processes: Processes

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        mean, var, num_places = self.statistics(x)
        assert self.num_batches_tracked is not None and self.momentum is not None
        assert self.running_mean is not None and self.running_var is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * (num_places / (num_places - 1)), self.momentum)
        y = GlobalNormalise.apply(x, self.weight, self.bias, mean, var, num_places, self)
        return y  # type: ignore[no-any-return]

    @torch.no_grad()
    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean (C,), variance (C,) and number of places () over all processes' samples.

        Sums are float64, so that the difference of two large ones keeps all digits of float32.
        """
        dtype = self.weight.dtype
        # Running statistics that nobody reads: without any, the CPU rounds to the type of x.
        unused = x.new_zeros(x.shape[1], dtype=dtype)
        mean, var = (t.double() for t in torch.batch_norm_update_stats(x, unused, unused, 0.0))
        own = torch.cat([mean, torch.addcmul(var, mean, mean), mean.new_ones(1)])
        sums = self.processes.add(own * (x.numel() // x.shape[1]))
        num_places = sums[-1]
        mean, mean_square, _ = (sums / num_places).split([len(mean), len(mean), 1])
        var = torch.addcmul(mean_square, mean, mean, value=-1).clamp(min=0)
        return mean.to(dtype), var.to(dtype), num_places.to(dtype)


def use_global_batch_norm(model: nn.Module, processes: Processes) -> nn.Module:
    """Let every nn.BatchNorm2d of a model look at the global batch; its parameters stay."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d
            module.processes = processes  # type: ignore[assignment]
    return model
