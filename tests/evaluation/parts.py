"""Predictions to evaluate, drawn at random."""

import numpy as np

from crossent.evaluation.scores import Outputs


def make_outputs(num=300, num_classes=3, seed=0, sharpness=1.0):
    """Draw labels from probabilities, so that these are calibrated; then scale the logits.

    Args:
        sharpness: the factor of the logits: above 1 the model is overconfident.
    """
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(num, num_classes))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = rng.random((num, 1)) < probs.cumsum(axis=1)
    return Outputs(sharpness * logits, drawn.argmax(axis=1))
