"""A running mean of the weights, which is often better than the weights themselves."""

import copy

import torch
from torch import nn


class Average:
    """w_mean <- w_mean + max(1 - d, 1 / n) (w - w_mean) after step n, with d = 2^(-1 / half_life).

    So it is the plain mean of all steps at first, and forgets the untrained weights, then an
    exponential one. Statistics of batch normalisation are averaged like weights; counters are
    copied. It depends on nothing but the weights after each step and n.
    Source: Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging".

    Args:
        model: averaged from here on.
        half_life: steps after which the weights of a step count half as much.
    """

    def __init__(self, model: nn.Module, half_life: float) -> None:
        self.model = copy.deepcopy(model).eval()
        self.share = 1 - 0.5 ** (1 / half_life)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` steps, 1 for the first."""
        share = max(self.share, 1 / step)
        for mean, now in zip(
            self.model.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(now, share)
            else:
                mean.copy_(now)
