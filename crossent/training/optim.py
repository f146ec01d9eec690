"""The training loss, SGD, its learning-rate schedule, and an average of the weights."""

import copy
import math
from dataclasses import dataclass
from inspect import unwrap

import torch
from torch import Tensor, nn

from crossent.loss import CrossEntropyLoss, cross_entropy


class TrainingLoss(CrossEntropyLoss):
    """The mean sum_n w_n E_n / sum_n w_n over a batch, with w_n the class weight of sample n.

    torch's class weights also multiply the uniform part of a smoothed label, so that with very
    unequal weights a wrong class has the smallest loss. Here each E_n has its minimum at its label,
    for any weights. A label mixed by mixup has the mean weight of its classes.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        if self.weight is None:
            return super().forward(input, target)
        E = cross_entropy(input, target, reduction="none", label_smoothing=self.label_smoothing)
        weight = self.weights(target)
        return (weight * E).sum() / weight.sum()

    def weights(self, target: Tensor) -> Tensor:
        """Return the weight of each sample (N,)."""
        if self.weight is None:
            return torch.ones(len(target), device=target.device)
        # no matrix product, which autocast would round
        return (target * self.weight).sum(dim=1) if target.ndim == 2 else self.weight[target]


class SGD(torch.optim.SGD):
    """torch.optim.SGD without its wrappers for torch.compile; the arithmetic is the same.

    When they are first called, the wrappers import the compiler, which takes 0.75 s.
    """

    add_param_group = unwrap(torch.optim.SGD.add_param_group)
    load_state_dict = unwrap(torch.optim.SGD.load_state_dict)
    state_dict = unwrap(torch.optim.SGD.state_dict)
    step = torch.no_grad()(unwrap(torch.optim.SGD.step))
    zero_grad = unwrap(torch.optim.SGD.zero_grad)


@dataclass(frozen=True)
class Schedule:
    """A linear warm-up, then half a cosine down to a share of the peak.

    Source: Loshchilov & Hutter 2017, "SGDR", equation (5), without restarts.
    """

    num_steps: int  # of the whole run
    peak_lr: float
    warmup: float  # share of the steps over which the rate rises, 0 to 1
    final: float  # the last rate as a share of the peak, 0 to 1

    def lr_at(self, step: int) -> float:
        """Return the learning rate of a step; the first step is 0."""
        num_warmup = round(self.warmup * self.num_steps)
        if step < num_warmup:
            return self.peak_lr * (step + 1) / num_warmup
        progress = (step - num_warmup) / max(1, self.num_steps - num_warmup)  # 0 up to almost 1
        cosine = (1 + math.cos(math.pi * progress)) / 2
        return self.peak_lr * (self.final + (1 - self.final) * cosine)


class WeightAverage:
    """w_mean <- w_mean + max(1 - d, 1 / n) (w - w_mean) after step n, with d = 2^(-1 / half_life).

    At first this is the plain mean of all steps, without the untrained weights; later it is an
    exponential mean, in which the weights of a step count half as much after `half_life` steps.
    The statistics of batch normalisation are averaged too; counters are copied.
    Source: Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging".
    """

    def __init__(self, model: nn.Module, half_life: float) -> None:
        self.model = copy.deepcopy(model).eval()
        self.rate = 1 - 0.5 ** (1 / half_life)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Add the weights after `step` steps to the mean; the first step is 1."""
        means, news = self.model.state_dict().values(), model.state_dict().values()
        for mean, new in zip(means, news, strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, max(self.rate, 1 / step))
            else:
                mean.copy_(new)
