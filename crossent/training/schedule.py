"""The learning rate as a pure function of the step: nothing to save, nothing to get out of step."""

import math


def lr_at(step: int, num_steps: int, lr: float, warmup: float, final: float) -> float:
    """Linear warm-up, then half a cosine down to a share of the peak.

    Source: Loshchilov & Hutter 2017, "SGDR", equation (5), without restarts.

    Args:
        step: 0 for the first step.
        num_steps: steps of the whole run.
        lr: the peak.
        warmup: share of the steps over which the rate rises, 0 to 1.
        final: the last rate as a share of the peak, 0 to 1.
    """
    num_warmup = round(warmup * num_steps)
    if step < num_warmup:
        return lr * (step + 1) / num_warmup
    progress = (step - num_warmup) / max(1, num_steps - num_warmup)  # 0 up to almost 1
    return lr * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)
