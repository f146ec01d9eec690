"""The article's equations one by one, for one sample, on plain numbers.

`probs` is the prediction y and `target` the label t: K numbers each, y_k and t_k. Training uses
`crossent.cross_entropy`; a test compares the two.
"""

import math
from collections.abc import Sequence

LOGARITHMS = {"nats": math.log, "bits": math.log2, "dits": math.log10}


def likelihood(probs: Sequence[float], target: Sequence[float]) -> float:
    """Return the likelihood of the label, L = prod_k y_k^t_k, with 0^0 = 1.

    Example:
        >>> likelihood([0.33, 0.32, 0.35], [1, 0, 0])
        0.33
    """
    _check(probs, target)
    return math.prod(math.pow(y, t) for y, t in zip(probs, target, strict=True))


def log_likelihood(probs: Sequence[float], target: Sequence[float], unit: str = "nats") -> float:
    """Return log L = sum_k t_k log y_k, equation (5.1), with 0 log 0 = 0.

    Args:
        probs: prediction y, each from 0 to 1.
        target: label t, each 0 or more.
        unit: "nats", "bits" or "dits": the logarithm to base e, 2 or 10.

    Returns:
        The logarithm, at most 0; -inf if a class with t > 0 has probability 0.

    Raises:
        ValueError: probs and target are not such numbers, or the unit is unknown.
    """
    _check(probs, target)
    if unit not in LOGARITHMS:
        raise ValueError(f"unit is {unit!r}; expected one of {', '.join(LOGARITHMS)}")
    log = LOGARITHMS[unit]
    # A class with t = 0 adds nothing, even with probability 0: y^0 = 1.
    terms = (t * (log(y) if y > 0 else -math.inf) for y, t in zip(probs, target, strict=True) if t)
    return math.fsum(terms)


def cross_entropy(probs: Sequence[float], target: Sequence[float], unit: str = "nats") -> float:
    """Return the cross-entropy E = -log L = -sum_k t_k log y_k, equation (5.2).

    Args, Raises: as `log_likelihood`.

    Example:
        >>> round(cross_entropy([0.33, 0.32, 0.35], [1, 0, 0]), 6)
        1.108663
    """
    return 0.0 - log_likelihood(probs, target, unit)  # 0.0 - 0.0 is 0.0, where -(0.0) is -0.0


def perplexity(nats: float) -> float:
    """Return exp(E): K for a uniform prediction over K classes, 1 for a certain and correct one."""
    return math.exp(nats)


def baseline(num_classes: int) -> float:
    """Return ln K nats: E of an untrained model, which predicts y = (1/K, ..., 1/K)."""
    return math.log(num_classes)


def gradient(probs: Sequence[float], target: Sequence[float]) -> list[float]:
    """Return dE/dz_k = y_k - t_k, with y = softmax(z): prediction minus label."""
    _check(probs, target)
    return [y - t for y, t in zip(probs, target, strict=True)]


def _check(probs: Sequence[float], target: Sequence[float]) -> None:
    if len(probs) != len(target):
        raise ValueError(f"target has {len(target)} numbers; expected {len(probs)}, as in probs")
    for name, values, most in (("probs", probs, 1.0), ("target", target, math.inf)):
        wrong = [value for value in values if not 0 <= value <= most]
        if wrong:
            raise ValueError(f"{name} contains {wrong[0]}; expected numbers from 0 to {most}")
