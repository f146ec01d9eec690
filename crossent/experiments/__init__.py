"""Several runs for one question: folds, seeds, checks and sweeps."""
