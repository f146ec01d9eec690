"""Answers to evaluate, made up: what the tests of the numbers share."""

import numpy as np

from crossent.evaluation.scores import Outputs


def make_outputs(num=300, num_classes=3, seed=0, sharpness=1.0, signal=1.5):
    """Calibrated answers, by drawing the labels from the probabilities, then sharpened.

    Args:
        sharpness: what the logits are multiplied by afterwards: above 1 the model is too sure.
    """
    rng = np.random.default_rng(seed)
    logits = signal * rng.normal(size=(num, num_classes))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = rng.random((num, 1)) < probs.cumsum(axis=1)
    return Outputs(sharpness * logits, drawn.argmax(axis=1))
